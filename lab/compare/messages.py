"""Packed messages of Envoy's API and of the name table, opened.

Does not:  say what counts (project.py).
Surprise:  a type that nobody here knows stays a type and its bytes: it is compared as such, not skipped.
"""

import importlib
import pkgutil
from functools import cache

from google.protobuf import any_pb2, descriptor_pool, message_factory, unknown_fields
from google.protobuf.message import Message

from lab.controlplane import type_urls
from lab.controlplane._pb import nds_pb2


def opened(packed: any_pb2.Any) -> Message | None:
    """The message inside; None for a type that is not Envoy's."""
    if packed.type_url == type_urls.NAME_TABLE:
        return nds_pb2.NameTable.FromString(packed.value)
    kind = _kind(packed.TypeName())
    if kind is None:
        return None
    message = kind()
    message.ParseFromString(packed.value)
    return message


def unread(message: Message) -> list[int]:
    """Numbers of fields that this version of the API does not know: what they say cannot be compared."""
    found = unknown_fields.UnknownFieldSet(message)
    return [found[index].field_number for index in range(len(found))]


@cache
def _kind(name: str) -> type[Message] | None:
    _load(name.rpartition(".")[0])
    try:
        return message_factory.GetMessageClass(descriptor_pool.Default().FindMessageTypeByName(name))
    except KeyError:
        return None


def _load(package: str) -> None:
    """The generated modules of a protobuf package: they register their messages when they are imported."""
    try:
        found = importlib.import_module(package)
    except ModuleNotFoundError:
        return
    for module in pkgutil.iter_modules(found.__path__, f"{package}."):
        importlib.import_module(module.name)
