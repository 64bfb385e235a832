"""Documents as they are written in files: found by key, replaced and removed without disturbing their
neighbours.

Owns:      the text of a resource file.
Does not:  understand any kind (resources.py) or hold resources (store.py).
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

import yaml

from lab.controlplane.kinds.metadata import DEFAULT_NAMESPACE
from lab.controlplane.registry import Key

_BOUNDARY: Final = re.compile(r"\n---[ \t]*(?:#.*)?(?=\n)")
_PLAIN_BOUNDARY: Final = "\n---\n"
"""What nearly all boundaries are; looking for these alone is ten times as fast."""

Document = dict[str, Any]


def documents(values: Iterable[object]) -> dict[Key, Document]:
    """Every document that has a kind and a name; items of a List count each."""
    return {key: each for value in values for key, each in _keyed(value)}


def split(text: str) -> list[str]:
    """The text of each document, comments and empty ones included; what is left of it is the boundaries."""
    pieces = text.split(_PLAIN_BOUNDARY)
    whole = [piece + "\n" for piece in pieces[:-1]] + pieces[-1:]
    return [chunk for piece in whole for chunk in (_split(piece) if "---" in piece else (piece,))]


def _split(text: str) -> list[str]:
    chunks, start = [], 0
    for boundary in _BOUNDARY.finditer("\n" + text):
        chunks.append(text[start : boundary.start()])
        start = boundary.end()
    return [*chunks, text[start:]]


def key_of_document(document: Mapping[str, Any]) -> Key | None:
    """None for what is not a resource."""
    kind, metadata = document.get("kind"), document.get("metadata")
    if (
        not isinstance(kind, str)
        or not isinstance(metadata, dict)
        or not isinstance(metadata.get("name"), str)
    ):
        return None
    name = metadata["name"]
    if kind == "Namespace":
        return kind, name, name
    return kind, metadata.get("namespace") or DEFAULT_NAMESPACE, name


def with_documents(
    text: str,
    changes: Mapping[Key, Document | None],
    known: Mapping[str, Collection[Key]] = MappingProxyType({}),
) -> str:
    """``text`` with the documents of these keys replaced (None: taken out), or added at the end.

    All other documents keep every character, comments included. ``known``: what the text of a document is
    about, for those that need not be read again.
    """
    missing = dict(changes)
    new: list[str] = []
    for chunk in split(text):
        if not chunk.strip():
            continue
        keys = known[chunk] if chunk in known else [key for key, _ in _keyed(_load(chunk))]
        found = {key: changes[key] for key in keys if key in changes}
        if not found:
            new.append(chunk if chunk.endswith("\n") else chunk + "\n")
            continue
        changed = _within(_load(chunk), found)
        if changed is not None:
            new.append(_dump(changed))
        for key in found:
            missing.pop(key, None)
    new += [_dump(document) for document in missing.values() if document is not None]
    return "---\n".join(new)


def _load(chunk: str) -> Any:
    return yaml.load(chunk, Loader=yaml.CSafeLoader)


def _dump(document: Document) -> str:
    return yaml.dump(document, Dumper=yaml.CSafeDumper, allow_unicode=True)


def _keyed(value: object) -> Iterator[tuple[Key, Document]]:
    if not isinstance(value, dict):
        return
    if value.get("kind") == "List":
        for item in value.get("items") or ():
            yield from _keyed(item)
        return
    key = key_of_document(value)
    if key is not None:
        yield key, value


def _within(value: Document, changes: Mapping[Key, Document | None]) -> Document | None:
    if value.get("kind") != "List":
        return next(iter(changes.values()))
    items = [changes.get(key_of_document(item), item) for item in value["items"]]  # type: ignore[arg-type]
    return {**value, "items": [item for item in items if item is not None]}
