"""What was done to one resource is done to its equal: a control plane that changes one cluster sends all ten
thousand, again and again.

Owns:      what is remembered of each resource, and putting a response together of what came and what is
           different in it.
Does not:  know what is taken out (adapting.py), or keep resources: each is known by its hash, and what was
           done to it by places in its bytes.
Surprise:  the hash is Python's own, of 64 bits and with a key that nobody knows (SipHash): among as many as
           are remembered two are confused once in ten thousand million lives. It needs no OpenSSL.
"""

from collections.abc import Callable
from typing import Final

from google.protobuf.message import DecodeError

from vmagent._pb import wire_pb2 as wire
from vmagent.xds import envelope

MOST: Final = 65_536
"""Resources that are remembered, all types together; 300 bytes each."""

_RESOURCES: Final = 2
"""Field of DiscoveryResponse and of DeltaDiscoveryResponse."""
_TAG: Final = _RESOURCES << 3 | envelope.DELIMITED


class _Whole(Exception):
    """The response has to be looked at as a whole."""


class _Edit:
    """Of one entry of a response: ``head`` in place of its tag and length (``width`` bytes) and of everything
    up to ``start``; ``middle`` in place of what is from ``cut`` to ``rest``.
    """

    __slots__ = ("cut", "head", "middle", "rest", "start", "width")

    def __init__(self, *, width: int, head: bytes, start: int, cut: int, middle: bytes, rest: int) -> None:
        self.width = width
        self.head = head
        self.start = start
        self.cut = cut
        self.middle = middle
        self.rest = rest


class Repeats:
    def __init__(self, adapt: Callable[[str, bytes], bytes | None]) -> None:
        """``adapt`` makes of a resource of a type what Envoy can load: the same object where nothing changes,
        nothing or None where nothing is left or it is refused.
        """
        self._adapt = adapt
        self._edits: dict[int, _Edit | None] = {}
        self._parts: dict[bytes, bytes] = {}
        """Heads and middles: there are few, and each is in many edits."""

    def rewrite(self, type_url: str, data: bytes, *, delta: bool) -> bytes | None:
        """What becomes of a response; None if it has to be looked at as a whole, because something in it is
        refused, or nothing is left of something.
        """
        if len(self._edits) > MOST:
            self._edits, self._parts = {}, {}
        try:
            return self._rewrite(type_url, data, delta=delta)
        except _Whole:
            return None

    def _rewrite(self, type_url: str, data: bytes, *, delta: bool) -> bytes:
        edits, written, at = self._edits, list[bytes](), 0
        for begin, end in envelope.spans(data, _RESOURCES):
            entry = data[begin:end]
            key = hash(entry)
            if key not in edits:
                edits[key] = self._learn(type_url, entry, delta=delta)
            edit = edits[key]
            if edit is None:
                continue
            opened = begin - edit.width
            if data[opened] != _TAG:
                raise _Whole
            written += (
                data[at:opened],
                edit.head,
                entry[edit.start : edit.cut],
                edit.middle,
                entry[edit.rest :],
            )
            at = end
        if not written:
            return data
        written.append(data[at:])
        return b"".join(written)

    def _learn(self, type_url: str, before: bytes, *, delta: bool) -> _Edit | None:
        """None: the entry stays as it is. Raises _Whole."""
        try:
            entry = (wire.Resource if delta else wire.Any).FromString(before)
        except DecodeError:
            raise _Whole from None
        packed = entry.resource if isinstance(entry, wire.Resource) else entry
        value = packed.value
        adapted = self._adapt(type_url, value)
        if adapted is value:
            return None
        if not adapted:
            raise _Whole
        packed.value = adapted
        after = entry.SerializeToString()
        start, head = before.index(value), after.index(adapted)
        same = _common(before[start:], after[head:])
        alike = _common(before[start + same :][::-1], after[head + same :][::-1])
        return _Edit(
            width=len(_opening(before)),
            head=self._part(_opening(after) + after[:head]),
            start=start,
            cut=start + same,
            middle=self._part(after[head + same : len(after) - alike]),
            rest=len(before) - alike,
        )

    def _part(self, data: bytes) -> bytes:
        return self._parts.setdefault(data, data)


def _common(one: bytes, other: bytes) -> int:
    """How many bytes both begin with."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _opening(entry: bytes) -> bytes:
    """Tag and length, as every implementation of protobuf writes them."""
    opening, length = bytearray((_TAG,)), len(entry)
    while length > 0x7F:
        opening.append(length & 0x7F | 0x80)
        length >>= 7
    opening.append(length)
    return bytes(opening)
