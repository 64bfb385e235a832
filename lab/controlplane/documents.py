"""Documents as they are written in files: found by key, replaced and removed without disturbing their
neighbours.

Owns:      the text of a resource file.
Does not:  understand any kind (resources.py) or hold resources (store.py).
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml

from lab.controlplane.kinds.metadata import DEFAULT_NAMESPACE
from lab.controlplane.registry import Key

_BOUNDARY: Final = re.compile(r"^---[ \t]*(?:#.*)?\n", re.MULTILINE)

Document = dict[str, Any]


def documents(text: str) -> dict[Key, Document]:
    """Every document that has a kind and a name; items of a List count each. The text must be good YAML."""
    return {key: each for value in yaml.safe_load_all(text) for key, each in _keyed(value)}


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


def with_document(text: str, key: Key, document: Document | None) -> str:
    """``text`` with the document of this key replaced (``None``: taken out), or added at the end.

    All other documents keep every character, comments included.
    """
    chunks = [chunk for chunk in _BOUNDARY.split(text) if chunk.strip()]
    new: list[str] = []
    found = False
    for chunk in chunks:
        value = yaml.safe_load(chunk)
        if key not in dict(_keyed(value)):
            new.append(chunk if chunk.endswith("\n") else chunk + "\n")
            continue
        found = True
        changed = _within(value, key, document)
        if changed is not None:
            new.append(yaml.safe_dump(changed, allow_unicode=True))
    if not found and document is not None:
        new.append(yaml.safe_dump(document, allow_unicode=True))
    return "---\n".join(new)


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


def _within(value: Document, key: Key, document: Document | None) -> Document | None:
    if value.get("kind") != "List":
        return document
    items = [document if key_of_document(item) == key else item for item in value["items"]]
    return {**value, "items": [item for item in items if item is not None]}
