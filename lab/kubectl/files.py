"""Files of resources, as ``-f`` names them: which documents they hold, each by file and number.

Does not:  understand a document beyond kind, name and namespace.
"""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.controlplane.yaml_text import pieces
from lab.hosts.cluster import Kind, kind_of
from lab.hosts.errors import LabError

STANDARD_INPUT = "-"
_SUFFIXES = (".yaml", ".yml", ".json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One document that can be sent: of a kind that is served, with a name."""

    file: str
    number: int
    """Counted from 1 in its file."""
    kind: Kind
    name: str
    namespace: str
    """Empty where the document does not say."""
    value: dict[str, Any]

    @property
    def place(self) -> str:
        return f'"{self.file}", document {self.number}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Unusable:
    """One that cannot. ``why`` is a whole line."""

    why: str


def documents(given: Iterable[str], *, recursive: bool = False) -> Iterator[Written | Unusable]:
    """In the order in which they are written. A directory means the files in it."""
    for name in given:
        if name == STANDARD_INPUT:
            yield from _of_text("STDIN", sys.stdin.read())
            continue
        for path in _files(Path(name), recursive=recursive):
            try:
                text = path.read_text()
            except FileNotFoundError:
                yield Unusable(why=f'error: the path "{path}" does not exist')
            except (OSError, UnicodeDecodeError) as why:
                yield Unusable(why=f'error: the path "{path}" cannot be read: {why}')
            else:
                yield from _of_text(str(path), text)


def _files(path: Path, *, recursive: bool) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = path.rglob("*") if recursive else path.iterdir()
    return sorted(each for each in found if each.suffix in _SUFFIXES and each.is_file())


def _of_text(file: str, text: str) -> Iterator[Written | Unusable]:
    for piece in pieces(text):
        if piece.problem:
            why = f'error: error parsing "{file}", document {piece.number}: not YAML: {piece.problem}'
            yield Unusable(why=why)
            continue
        for value in _items(piece.value):
            yield _read(file, piece.number, value)


def _items(value: object) -> Iterator[object]:
    """A document, or what a List lists."""
    if isinstance(value, dict) and value.get("kind") == "List" and isinstance(value.get("items"), list):
        for each in value["items"]:
            yield from _items(each)
    else:
        yield value


def _read(file: str, number: int, value: object) -> Written | Unusable:
    invalid = f'error: error validating "{file}", document {number}'
    if not isinstance(value, dict):
        return Unusable(
            why=f"{invalid}: it is {value!r:.80}: write a mapping with apiVersion, kind and metadata"
        )
    about = value.get("metadata")
    said = {
        "apiVersion": value.get("apiVersion"),
        "kind": value.get("kind"),
        "metadata.name": about.get("name") if isinstance(about, dict) else None,
    }
    for field, found in said.items():
        if not isinstance(found, str) or not found:
            shown = "nothing" if found is None else repr(found)
            return Unusable(why=f"{invalid}: {field} is {shown}: write a text that is not empty")
    version, name, namespace = said["apiVersion"], str(said["metadata.name"]), (about or {}).get("namespace")
    kind = _kind(str(said["kind"]), str(version))
    if kind is None:
        return Unusable(
            why=f'error: resource mapping not found for name: "{name}" namespace: "{namespace or ""}" from '
            f'"{file}", document {number}: no matches for kind "{said["kind"]}" in version "{version}": it '
            "is not served here"
        )
    if namespace is not None and not isinstance(namespace, str):
        return Unusable(why=f"{invalid}: metadata.namespace is {namespace!r}: write a text")
    return Written(
        file=file, number=number, kind=kind, name=name, namespace=str(namespace or ""), value=value
    )


def _kind(name: str, version: str) -> Kind | None:
    try:
        kind = kind_of(name)
    except LabError:
        return None
    group = version.rpartition("/")[0]
    return kind if kind.name == name and group == kind.group else None
