"""Several texts as one. Pure.

Owns:      what happens to a family that more than one source has.
Does not:  know who the sources are, only their order.

Scrapers want every family once and all its samples together; putting one text behind the other, as Istio's
agent does, is refused by them as soon as two have a family in common.

1.  A family of two sources is one family with the samples of both. The text of HELP is the first one's.
2.  A series of two sources is taken from the later one. The agent comes first, then Envoy, then the
    applications: ``process_resident_memory_bytes`` is the application's, which is whom its operator means.
    A histogram or summary is replaced as a whole: buckets of two would be of none.
3.  Types that differ: a counter and a gauge are neither (``untyped``); a histogram or a summary stays what it
    is and the later source's family is left out, which ``Merged.conflicts`` says.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from vmagent.status.exposition import Family

_SIMPLE: Final = frozenset({b"", b"untyped", b"unknown", b"counter", b"gauge"})
_UNTYPED: Final = frozenset({b"", b"untyped", b"unknown"})
_COMPOUND: Final = frozenset({b"histogram", b"gaugehistogram", b"summary"})
_INNER: Final = frozenset({b"le", b"quantile"})
"""Labels that tell apart the parts of one histogram or summary, and not two of them."""

_LABEL: Final = re.compile(rb'([a-zA-Z_][a-zA-Z0-9_]*+)[ \t]*+=[ \t]*+"((?:[^"\\]++|\\.)*)"')
_BRACES: Final = re.compile(rb'[^ \t{]++[ \t]*+\{((?:[^"}]++|"(?:[^"\\]++|\\.)*")*)\}')

Identity = frozenset[tuple[bytes, ...]]


@dataclass(frozen=True, slots=True)
class Merged:
    families: list[Family]
    conflicts: Mapping[int, Sequence[str]]
    """Number of the source, the first is 0, to what was left out of it and why."""


def merge(sources: Iterable[Iterable[Family]]) -> Merged:
    """The families are taken over and changed: nobody else may use them afterwards."""
    made: dict[bytes, Family] = {}
    conflicts: dict[int, list[str]] = {}
    for number, source in enumerate(sources):
        for family in source:
            mine = made.setdefault(family.name, family)
            if mine is family or _join(mine, family):
                continue
            kinds = " and ".join((kind or b"untyped").decode() for kind in (family.kind, mine.kind))
            conflicts.setdefault(number, []).append(f"{family.name.decode()} has two types, {kinds}")
    return Merged(list(made.values()), conflicts)


def _join(mine: Family, other: Family) -> bool:
    """False: they are too different."""
    if mine.kind != other.kind:
        if not {mine.kind, other.kind} <= _SIMPLE:
            return False
        mine.kind = _either(mine.kind, other.kind)
    mine.help = mine.help or other.help
    if mine.unit != other.unit:
        mine.unit = b""
    replaced = {_identity(mine.kind, line) for line in bytes(other.lines).splitlines()}
    kept = [
        line
        for line in bytes(mine.lines).splitlines(keepends=True)
        if _identity(mine.kind, line) not in replaced
    ]
    mine.lines = bytearray().join((*kept, other.lines))
    return True


def _either(one: bytes, other: bytes) -> bytes:
    if one in _UNTYPED:
        return other
    return one if other in _UNTYPED else b"untyped"


def _identity(kind: bytes, line: bytes) -> Identity:
    """The labels, whatever their order: inside a family they say which series a sample belongs to."""
    found = _BRACES.match(line)
    if found is None:
        return frozenset()
    labels = _LABEL.findall(found[1])
    return frozenset(pair for pair in labels if kind not in _COMPOUND or pair[0] not in _INNER)
