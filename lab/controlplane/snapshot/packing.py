"""Protobuf values in the shapes Envoy's API asks for. Bytes are deterministic."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from envoy.type.v3 import percent_pb2
from google.protobuf import any_pb2, duration_pb2, struct_pb2
from google.protobuf.message import Message


def pack(message: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message, deterministic=True)
    return packed


def struct(values: Mapping[str, Any]) -> struct_pb2.Struct:
    made = struct_pb2.Struct()
    made.update(dict(values))
    return made


def seconds(number: float) -> duration_pb2.Duration:
    duration = duration_pb2.Duration()
    duration.FromTimedelta(timedelta(seconds=number))
    return duration


def percent(value: float | None, *, nothing: float | None = None) -> percent_pb2.FractionalPercent:
    """As istiod writes them: what is not said as hundredths, all of them unless ``nothing`` says how many;
    what is said as millionths."""
    if value is None:
        numerator = 100 if nothing is None else int(nothing)
        return percent_pb2.FractionalPercent(
            numerator=numerator, denominator=percent_pb2.FractionalPercent.HUNDRED
        )
    return percent_pb2.FractionalPercent(
        numerator=int(value * 10_000), denominator=percent_pb2.FractionalPercent.MILLION
    )
