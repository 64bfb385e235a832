"""The format of the file: a line that names it, a header, the resources one after the other, a checksum.

Owns:      what is written and in which order, and that nothing is taken out of a file that is not whole.
Does not:  open files (disk.py).
Surprise:  the checksum stands at the end, so that a large file is written in one go, and one that was cut off
           is noticed as well. It finds accidents; who could forge it could read the key, too.
"""

import hashlib
import json
import struct
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any, Final

from vmagent.xds.lastgood.content import Damaged, Kept, Section
from vmagent.xds.resources import Blob, Piece
from vmagent.xds.wanted import Wanted

FORMAT: Final = 2
_TITLE: Final = "vmagent last known good, format "
_RECORD: Final = struct.Struct("!HHI")
"""Bytes of the name, of the version and of the resource, which follow in this order."""

_SUM: Final = 32
_checksum: Final = partial(hashlib.blake2b, digest_size=_SUM)
"""The fastest that is there without OpenSSL, which is not loaded for this."""

LONGEST_LINE: Final = 16 << 20
"""Bytes of the header. It has the names that were asked for and that nobody has; all others are records."""

Chunks = Iterator[bytes]


def fingerprint(kept: Kept) -> bytes:
    """The same for the same resources, whatever version the control plane says they are of: it counts up with
    each push, also where nothing has changed.
    """
    sections = tuple(replace(section, version="") for section in kept.sections)
    made = _checksum()
    for chunk in _body(replace(kept, sections=sections)):
        made.update(chunk)
    return made.digest()


def encode(kept: Kept) -> Chunks:
    made = _checksum()
    for chunk in _body(kept):
        made.update(chunk)
        yield chunk
    yield made.digest()


def size(kept: Kept) -> int:
    """Bytes, but for the header."""
    return sum(piece.length for section in kept.sections for piece in section.pieces.values())


def _body(kept: Kept) -> Chunks:
    header = {"owner": dict(kept.owner), "sections": [_described(section) for section in kept.sections]}
    yield f"{_TITLE}{FORMAT}\n".encode()
    yield json.dumps(header).encode() + b"\n"
    for section in kept.sections:
        for name, piece in section.pieces.items():
            spelt, version = name.encode(), piece.version.encode()
            yield _RECORD.pack(len(spelt), len(version), piece.length) + spelt + version
            yield piece.value


def _described(section: Section) -> dict[str, Any]:
    return {
        "type": section.url,
        "version": section.version,
        "everything": section.wanted.everything,
        "named": not section.wanted.names.isdisjoint(section.pieces),
        "absent": sorted(section.wanted.names - section.pieces.keys()),
        "count": len(section.pieces),
    }


def decode(data: bytes) -> Kept:
    """Raises Damaged."""
    title, found, _ = data[:64].partition(b"\n")
    if not found or not title.startswith(_TITLE.encode()):
        raise Damaged("is no such file")
    if title != f"{_TITLE}{FORMAT}".encode():
        number = title[len(_TITLE) :].decode(errors="replace")
        raise Damaged(f"has format {number!r}; this version knows {FORMAT}")
    body = memoryview(data)[:-_SUM]
    if _checksum(body).digest() != data[-_SUM:]:
        raise Damaged("is damaged or cut off: its checksum does not fit")
    try:
        return _decoded(data, len(title) + 1, len(body))
    except (ValueError, KeyError, TypeError, struct.error) as why:
        raise Damaged(f"cannot be understood: {why}") from None


def _decoded(data: bytes, at: int, end: int) -> Kept:
    stop = data.index(b"\n", at, min(end, at + LONGEST_LINE))
    header = json.loads(data[at:stop])
    blob, at = Blob(data), stop + 1
    sections = []
    for said in header["sections"]:
        pieces, at = _records(blob, data, at, int(said["count"]))
        sections.append(_section(said, pieces))
    if at != end:
        raise ValueError("something follows the last resource")
    return Kept(
        owner={str(key): str(value) for key, value in header["owner"].items()}, sections=tuple(sections)
    )


def _records(blob: Blob, data: bytes, at: int, count: int) -> tuple[dict[str, Piece], int]:
    pieces: dict[str, Piece] = {}
    for _ in range(count):
        name, version, length = _RECORD.unpack_from(data, at)
        middle = at + _RECORD.size + name
        start = middle + version
        key = data[middle - name : middle].decode()
        pieces[key] = Piece(blob, start, length, data[middle:start].decode())
        at = start + length
    return pieces, at


def _section(said: dict[str, Any], pieces: dict[str, Piece]) -> Section:
    names = frozenset(said["absent"]) | (pieces.keys() if said["named"] else frozenset())
    wanted = Wanted(bool(said["everything"]), frozenset(names))
    return Section(url=said["type"], version=said["version"], wanted=wanted, pieces=pieces)
