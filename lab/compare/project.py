"""One resource as what decides traffic: everything it says, less what ``hidden.py`` lists.

Does not:  know istiod or the lab: both sides go through the same function.
Surprise:  values are not interpreted. A field that is there with its default and one that is not are two
           things, as they are to Envoy for all fields whose presence it asks about.
"""

import base64
import json
from collections.abc import Iterable, Mapping

from google.protobuf import any_pb2, duration_pb2, struct_pb2, wrappers_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from lab.compare.hidden import ALPN_OVERRIDE, FIELDS, ISTIO, UNORDERED
from lab.compare.messages import opened, unread

Plain = None | bool | int | float | str | list["Plain"] | dict[str, "Plain"]

_TYPE = "@type"
_UNKNOWN = "fields of a newer API"
_METADATA = "Metadata.filter_metadata"
_PLAINLY = (duration_pb2.Duration, struct_pb2.Struct, struct_pb2.Value, struct_pb2.ListValue)


def project(resource: any_pb2.Any) -> Plain:
    return _any(resource)


def _message(message: Message) -> Plain:
    if isinstance(message, any_pb2.Any):
        return _any(message)
    if isinstance(message, _PLAINLY):
        plain: Plain = MessageToDict(message)
        return plain
    if message.DESCRIPTOR.file.name == wrappers_pb2.DESCRIPTOR.name:
        return _scalar(message.value)  # type: ignore[attr-defined]
    said: dict[str, Plain] = {}
    for field, value in message.ListFields():
        name = f"{message.DESCRIPTOR.name}.{field.name}"
        if name not in FIELDS:
            said |= _field(field, name, value)
    if strange := unread(message):
        said[_UNKNOWN] = list(strange)
    return said


def _field(field: FieldDescriptor, name: str, value: object) -> dict[str, Plain]:
    """``{field: value}``; nothing when all of a map is hidden."""
    if isinstance(value, Mapping):
        entries = (
            _metadata(value) if name == _METADATA else {key: _one(field, each) for key, each in value.items()}
        )
        return {field.name: entries} if entries else {}
    if field.is_repeated and isinstance(value, Iterable):
        items = [_one(field, each) for each in value]
        return {field.name: _sorted(items) if name in UNORDERED else items}
    below = _one(field, value)
    # Metadata of which nothing is left says nothing; any other empty message says that it is there.
    return {} if below == {} and field.name == "metadata" else {field.name: below}


def _metadata(entries: Mapping[str, struct_pb2.Struct]) -> dict[str, Plain]:
    said: dict[str, Plain] = {key: _message(value) for key, value in entries.items() if key != ISTIO}
    if ISTIO in entries and ALPN_OVERRIDE in entries[ISTIO]:
        said[ISTIO] = {ALPN_OVERRIDE: _scalar(entries[ISTIO][ALPN_OVERRIDE])}
    return said


def _one(field: FieldDescriptor, value: object) -> Plain:
    if isinstance(value, Message):
        return _message(value)
    if field.enum_type is not None and isinstance(value, int):
        known = field.enum_type.values_by_number.get(value)
        return known.name if known else value
    return _scalar(value)


def _any(packed: any_pb2.Any) -> Plain:
    message = opened(packed)
    if message is None:
        return {_TYPE: packed.type_url, "bytes": base64.b64encode(packed.value).decode()}
    below = _message(message)
    return (
        {_TYPE: packed.type_url, **below}
        if isinstance(below, dict)
        else {_TYPE: packed.type_url, "value": below}
    )


def _scalar(value: object) -> Plain:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    assert value is None or isinstance(value, bool | int | float | str), value
    return value


def _sorted(items: list[Plain]) -> list[Plain]:
    return sorted(items, key=lambda each: json.dumps(each, sort_keys=True))
