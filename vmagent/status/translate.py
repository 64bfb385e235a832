"""An OpenMetrics family in the words of the text format 0.0.4. Pure.

What the older format cannot say is left out: units, exemplars. What it says in another way is said in that
way: a counter bears its ``_total``, a time is in milliseconds, ``_created`` is a gauge of its own.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from vmagent.status.exposition import Family, Format
from vmagent.status.reader import SAMPLE, SUFFIXES, milliseconds

_KINDS: Final = {
    (b"counter", b"_total"): b"counter",
    (b"info", b"_info"): b"gauge",
    (b"stateset", b""): b"gauge",
}
"""What becomes of a sample that cannot stay in its family, by the family's type and its suffix."""


def as_text(found: Iterable[Family]) -> Iterator[Family]:
    for family in found:
        yield from _family(family)


def _family(family: Family) -> Iterator[Family]:
    """One family for each that the text format makes of it."""
    here = SUFFIXES[Format.TEXT].get(family.kind, ())
    stays = family.kind if family.kind in (b"gauge", b"histogram", b"summary") else b""
    made: dict[bytes, Family] = {}
    for line in bytes(family.lines).splitlines():
        match = SAMPLE[Format.OPENMETRICS].fullmatch(line)
        assert match is not None, "reader.py let it pass"
        suffix = match["name"].removeprefix(family.name)
        if stays and suffix in here:
            name, kind = family.name, stays
        elif suffix == b"_created":
            name, kind = match["name"], b"gauge"
        else:
            name, kind = match["name"], _KINDS.get((family.kind, suffix), b"untyped")
        place = made.setdefault(name, Family(name, kind, family.help.replace(rb"\"", b'"')))
        place.lines += match["name"] + (match["labels"] or b"") + b" " + match["value"]
        if match["time"]:
            place.lines += b" %d" % round(milliseconds(match["time"]))
        place.lines += b"\n"
    yield from made.values()
