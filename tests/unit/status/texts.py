"""Texts in and out, for tests: what a source says, and what is made of all of them."""

from vmagent.status.exposition import Family, Format, render
from vmagent.status.merge import merge
from vmagent.status.reader import Reader
from vmagent.status.translate import as_text


def read(text: str, form: Format = Format.TEXT) -> list[Family]:
    reader = Reader(form)
    reader.feed(text.encode())
    return reader.close()


def write(families: list[Family], form: Format = Format.TEXT) -> str:
    return b"".join(render(families, form)).decode()


def merged(*texts: str) -> str:
    return write(merge([read(text) for text in texts]).families)


def translated(text: str) -> str:
    return write(list(as_text(read(text, Format.OPENMETRICS))))
