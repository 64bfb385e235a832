"""A YAML text as its documents, each on its own: what is wrong with one is not wrong with the next.

Does not:  know what a document means.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import yaml

_BOUNDARY: Final = re.compile(r"^---(?=\s|$)", re.MULTILINE)

_NAMELESS: Final = "<unicode string>"


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Times stay the strings they are in the document, as they do for kubectl."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One document. ``number`` counts from 1; an empty document has a number and no piece."""

    number: int
    value: object
    problem: str = ""
    """Why it is no YAML, with line and column in the whole text; ``value`` is then nothing."""


def pieces(text: str) -> Iterator[Piece]:
    try:
        values = list(yaml.load_all(text, Loader=_Loader))
    except yaml.YAMLError:
        yield from _one_by_one(text)
        return
    for number, value in enumerate(values, start=1):
        if value is not None:
            yield Piece(number=number, value=value)


def _one_by_one(text: str) -> Iterator[Piece]:
    number = 0
    for start, chunk in _chunks(text):
        # The lines before it are kept as empty ones, so that yaml counts lines from the top of the file.
        padded = "\n" * text.count("\n", 0, start) + chunk
        try:
            value = yaml.load(padded, Loader=_Loader)  # a SafeLoader
        except yaml.YAMLError as why:
            number += 1
            yield Piece(number=number, value=None, problem=_told(why))
            continue
        if value is None and number == 0 and start == 0:
            continue  # comments before the first boundary are no document
        number += 1
        if value is not None:
            yield Piece(number=number, value=value)


def _told(why: yaml.YAMLError) -> str:
    """With line and column, without the name that yaml gives a text that is no file."""
    return " ".join(str(why).split()).replace(f'in "{_NAMELESS}", ', "")


def _chunks(text: str) -> Iterator[tuple[int, str]]:
    start = 0
    for boundary in _BOUNDARY.finditer(text):
        yield start, text[start : boundary.start()]
        start = boundary.end()
    yield start, text[start:]
