"""The outermost layer of an xDS response, read without decoding it: where each field lies in the bytes.

Owns:      protobuf's framing (tags, lengths), as far as finding a field needs it.
Does not:  know what a field means (sotw.py, delta.py).
Surprise:  a response of all clusters of a large mesh is tens of megabytes. A parser would copy them twice
           before the first question is answered; this steps from length to length and copies nothing. And
           what has to be known before it can go on stands before and behind ten thousand resources: of a
           large one these are stepped over at once.
"""

import sys
from collections.abc import Iterator
from typing import Final, TypeAlias

from google.protobuf.message import DecodeError

VARINT: Final = 0
FIXED64: Final = 1
DELIMITED: Final = 2
FIXED32: Final = 5
_WIDTHS: Final = {FIXED64: 8, FIXED32: 4}

_LONGEST_LENGTH: Final = 5
"""Bytes of a length below 4 GiB; protobuf's own limit is 2."""

LARGE: Final = 64 * 1024
"""Bytes from which on a response is looked at from behind."""

FARTHEST: Final = 1024 * 1024
"""Bytes from the end in which its end is looked for."""

Fields: TypeAlias = dict[int, list[bytes]]
"""Field number to the contents of each occurrence."""


def skim(data: bytes, bulk: int, behind: tuple[int, bytes]) -> Fields:
    """All but numbers, and field ``bulk``, of which there are thousands. Raises DecodeError.

    ``behind``: the field that follows all of ``bulk``, and how its contents begin. Protobuf's libraries write
    fields in the order of their numbers, and need not: of data that begin with ``bulk``, or have some of it
    behind ``behind``, every field is stepped over. Damage between the two ends of a large response is
    ``check``'s to find.
    """
    ends = _ends(data, bulk, behind) if len(data) >= LARGE else None
    return _all(data, bulk) if ends is None else ends


def check(data: bytes, bulk: int) -> None:
    """Raises DecodeError unless all of it can be stepped over, where ``skim`` may have looked at the ends."""
    if len(data) >= LARGE:
        _all(data, bulk)


def _all(data: bytes, bulk: int) -> Fields:
    found: Fields = {}
    heavy = bulk << 3 | DELIMITED
    at, end = 0, len(data)
    try:
        while at < end:
            tag, length = data[at], data[at + 1]
            if tag == heavy and length < 0x80:
                at += 2 + length
            elif tag == heavy and data[at + 2] < 0x80:
                at += 3 + (length & 0x7F) + (data[at + 2] << 7)
            else:
                number, start, at = _field(data, at)
                if start and number != bulk:
                    found.setdefault(number, []).append(data[start:at])
    except IndexError:
        raise DecodeError("cut off in the middle of a field") from None
    if at != end:
        raise DecodeError("cut off in the middle of a field")
    return found


def _ends(data: bytes, bulk: int, behind: tuple[int, bytes]) -> Fields | None:
    """What stands before the first of ``bulk``, and from ``behind`` on. None if that cannot be told."""
    number, begins = behind
    end = len(data)
    last = data.rfind(begins, max(end - FARTHEST, 0)) - 2  # before it a tag, and a length of one byte
    if last < 0 or data[last] != number << 3 | DELIMITED or data[last + 1] >= 0x80:
        return None
    found: Fields = {}
    try:
        first = _until(data, 0, last, bulk, found)
        if not 0 < first <= last or _until(data, last, end, bulk, found) != end:
            return None
    except (IndexError, DecodeError):
        return None
    return found


def _until(data: bytes, at: int, end: int, bulk: int, found: Fields) -> int:
    """Where the first of ``bulk`` stands, or the last field ends; what comes before it is added."""
    while at < end:
        number, start, beyond = _field(data, at)
        if number == bulk:
            return at
        if start:
            found.setdefault(number, []).append(data[start:beyond])
        at = beyond
    return at


def spans(data: bytes, number: int) -> Iterator[tuple[int, int]]:
    """Where the contents of each occurrence of field ``number`` begin and end. Stops at what cannot be
    read.
    """
    heavy = number << 3 | DELIMITED
    at, end = 0, len(data)
    try:
        while at < end:
            tag, length = data[at], data[at + 1]
            if tag == heavy and length < 0x80:
                begin = at + 2
                at = begin + length
            elif tag == heavy and data[at + 2] < 0x80:
                begin = at + 3
                at = begin + (length & 0x7F) + (data[at + 2] << 7)
            else:
                found, begin, at = _field(data, at)
                begin = begin if found == number else 0
            if at > end:
                return
            if begin:
                yield begin, at
    except (IndexError, DecodeError):
        return


def places(data: bytes, start: int, end: int) -> dict[int, tuple[int, int]]:
    """Field number to where the contents of its first occurrence begin and end, of the message in
    ``data[start:end]``. Stops at what cannot be read.
    """
    found: dict[int, tuple[int, int]] = {}
    at = start
    try:
        while at < end:
            tag, length = data[at], data[at + 1]
            if tag & 0x87 == DELIMITED and length < 0x80:
                number, begin = tag >> 3, at + 2
                at = begin + length
            else:
                number, begin, at = _field(data, at)
            if at > end:
                break
            if begin and number not in found:
                found[number] = begin, at
    except (IndexError, DecodeError):
        pass
    return found


def opening(data: bytes, start: int, end: int) -> tuple[int, int] | None:
    """Where the contents of the field at ``start`` begin and end; None if they do not end before ``end``."""
    try:
        _, begin, stop = _field(data, start)
    except (IndexError, DecodeError):
        return None
    return (begin, stop) if begin and stop <= end else None


def text(data: bytes, place: tuple[int, int] | None) -> str:
    """Empty for no place. Equal ones are one object: ten thousand clusters and their endpoints have the same
    names, and all of them one version.
    """
    return sys.intern(data[place[0] : place[1]].decode("utf-8", "replace")) if place else ""


def _field(data: bytes, at: int) -> tuple[int, int, int]:
    """Number, beginning (0: a number, which nobody asks for) and end of the field at ``at``."""
    tag, at = _varint(data, at)
    kind = tag & 7
    if kind == DELIMITED:
        length, at = _varint(data, at)
        return tag >> 3, at, at + length
    if kind == VARINT:
        return tag >> 3, 0, _varint(data, at, longest=10)[1]
    if kind in _WIDTHS:
        return tag >> 3, 0, at + _WIDTHS[kind]
    raise DecodeError(f"wire type {kind}, which there is not")


def _varint(data: bytes, at: int, longest: int = _LONGEST_LENGTH) -> tuple[int, int]:
    """The number at ``at`` and where it ends. Raises IndexError at the end of the data."""
    value = data[at]
    if value < 0x80:
        return value, at + 1
    value &= 0x7F
    for place in range(1, longest):
        byte = data[at + place]
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, at + place + 1
    raise DecodeError("a length that never ends")
