"""Messages as plain values, to compare them at every depth: fields in an Any may come in another order."""

from collections.abc import Mapping
from typing import Any

from google.protobuf import any_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message


def plain(value: Any) -> Any:
    """A configuration of a type that is not known here stays its bytes."""
    if isinstance(value, any_pb2.Any):
        return (value.type_url, _unpacked(value))
    if isinstance(value, Message):
        return {field.name: plain(each) for field, each in value.ListFields()}
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, str | bytes | int | float):
        return value
    return [plain(each) for each in value]


def _unpacked(packed: any_pb2.Any) -> Any:
    try:
        found = descriptor_pool.Default().FindMessageTypeByName(packed.TypeName())
    except KeyError:
        return packed.value
    return plain(message_factory.GetMessageClass(found).FromString(packed.value))
