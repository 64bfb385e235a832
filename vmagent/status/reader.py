"""Reads what others expose: lines in, families out.

Owns:      which line is sound, and to which family a sample belongs, in both formats.
Does not:  ask for the text (fetch.py), translate it (translate.py) or join it with another (merge.py).
Surprise:  strict, because one line that a scraper cannot read costs it everything: ours and Envoy's as well.
           What is merely out of order (a family in two places, a missing last newline) is put in order.
"""

import re
from typing import Final

from vmagent.status.exposition import END, Family, Format

LONGEST_LINE: Final = 256 * 1024
"""Bytes. Envoy's longest, a sample with a route's name in it, has some hundred."""

# No possessive groups: before Python 3.11.5 they forget to go back (single characters are sound).
_NAME = rb"[a-zA-Z_:][a-zA-Z0-9_:]*+"
_LABEL = rb'[a-zA-Z_][a-zA-Z0-9_]*+[ \t]*+=[ \t]*+"(?:[^"\\]++|\\[\\n"])*"'
_LABELS = rb"\{[ \t]*+(?:" + _LABEL + rb"[ \t]*+(?:,[ \t]*+|(?=\})))*\}"
_NUMBER = rb"(?:[+-]?(?:(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?|[iI]nf(?:inity)?)|[nN]a[nN])"
_VALUE = rb"[ \t]*+(?P<value>" + _NUMBER + rb")"
_SERIES = rb"(?P<name>" + _NAME + rb")[ \t]*+(?P<labels>" + _LABELS + rb")?" + _VALUE

SAMPLE: Final = {
    Format.TEXT: re.compile(_SERIES + rb"(?:[ \t]++(?P<time>-?[0-9]++))?"),
    Format.OPENMETRICS: re.compile(
        _SERIES
        + rb"(?: (?P<time>" + _NUMBER + rb"))?"
        + rb"(?: # " + _LABELS + rb" " + _NUMBER + rb"(?: (?P<when>" + _NUMBER + rb"))?)?"
    ),
}  # fmt: skip
"""Alternatives exclude one another at their first character, so a long line is not read twice."""

SUFFIXES: Final = {
    Format.TEXT: {
        b"counter": (b"",),
        b"gauge": (b"",),
        b"histogram": (b"_bucket", b"_sum", b"_count"),
        b"summary": (b"", b"_sum", b"_count"),
        b"untyped": (b"",),
    },
    Format.OPENMETRICS: {
        b"counter": (b"_total", b"_created"),
        b"gauge": (b"",),
        b"histogram": (b"_bucket", b"_sum", b"_count", b"_created"),
        b"gaugehistogram": (b"_bucket", b"_gsum", b"_gcount"),
        b"summary": (b"", b"_sum", b"_count", b"_created"),
        b"info": (b"_info",),
        b"stateset": (b"",),
        b"unknown": (b"",),
    },
}
"""Types, and what the name of a sample may have beyond its family's."""

LATEST: Final = 1 << 63
"""Milliseconds since the epoch: scrapers keep a time in 64 bits."""

_ALL = (b"", b"_total", b"_bucket", b"_sum", b"_count", b"_created", b"_gsum", b"_gcount", b"_info")


class Malformed(ValueError):
    """No scraper would read this. The sentence names the line."""


class Reader:
    """``feed`` the body in whatever pieces it comes, then ``close``. Both raise Malformed."""

    def __init__(self, form: Format) -> None:
        self._sample = SAMPLE[form]
        self._suffixes = SUFFIXES[form]
        self._times = [name for name in ("time", "when") if name in self._sample.groupindex]
        self._form = form
        self._families: dict[bytes, Family] = {}
        self._places: dict[bytes, Family] = {}
        self._tail = b""
        self._number = 0
        self._ended = False

    def feed(self, data: bytes) -> None:
        *lines, self._tail = (self._tail + data).split(b"\n")
        if len(self._tail) > LONGEST_LINE:
            raise Malformed(f"line {self._number + len(lines) + 1} is longer than {LONGEST_LINE} bytes")
        for line in lines:
            self._line(line.strip(b" \t\r"))

    def close(self) -> list[Family]:
        """Everything, in the order in which it came. An OpenMetrics text that has no end is not whole."""
        self._line(self._tail.strip(b" \t\r"))
        self._tail = b""
        if self._form is Format.OPENMETRICS and not self._ended:
            raise Malformed("it breaks off: there is no # EOF")
        return list(self._families.values())

    def _line(self, line: bytes) -> None:
        self._number += 1
        if not line:
            return
        if self._ended:
            raise self._malformed("follows # EOF", line)
        if line[0] == 0x23:
            self._comment(line)
            return
        match = self._sample.fullmatch(line)
        if match is None or not _is_utf8(line):
            raise self._malformed("is no sample", line)
        if not all(_is_time(match[name], self._form) for name in self._times if match[name]):
            raise self._malformed("has a time that is none", line)
        name = match["name"]
        place = self._places.get(name)
        if place is None:
            place = self._places[name] = self._place(name, line)
        place.lines += line
        place.lines += b"\n"

    def _place(self, name: bytes, line: bytes) -> Family:
        for suffix in _ALL:
            family = self._families.get(name.removesuffix(suffix)) if name.endswith(suffix) else None
            if family and suffix in self._suffixes.get(family.kind, (b"",)):
                return family
        if name in self._families:
            raise self._malformed(f"does not suit a {self._families[name].kind.decode()}", line)
        return self._families.setdefault(name, Family(name))

    def _comment(self, line: bytes) -> None:
        if self._form is Format.OPENMETRICS and line == END.strip():
            self._ended = True
            return
        words = line.split(None, 3)
        if len(words) < 3 or words[0] != b"#" or words[1] not in (b"HELP", b"TYPE", b"UNIT"):
            return
        if not re.fullmatch(_NAME, words[2]) or not _is_utf8(line):
            raise self._malformed("names no metric", line)
        family = self._families.setdefault(words[2], Family(words[2]))
        text = words[3] if len(words) > 3 else b""
        if words[1] == b"HELP":
            family.help = family.help or text
        elif words[1] == b"UNIT":
            family.unit = text if self._form is Format.OPENMETRICS else b""
        else:
            self._type(family, text, line)

    def _type(self, family: Family, kind: bytes, line: bytes) -> None:
        if kind not in self._suffixes:
            raise self._malformed("is no type", line)
        if family.kind not in (b"", kind) or (family.lines and b"" not in self._suffixes[kind]):
            raise self._malformed("contradicts what stands above it", line)
        family.kind = kind
        self._places.clear()

    def _malformed(self, why: str, line: bytes) -> Malformed:
        return Malformed(f"line {self._number} {why}: {line[:80].decode(errors='replace')!r}")


def milliseconds(time: bytes) -> float:
    """Of OpenMetrics, which counts seconds. May be no finite number."""
    return float(time) * 1000


def _is_time(text: bytes, form: Format) -> bool:
    return abs(milliseconds(text) if form is Format.OPENMETRICS else float(text)) < LATEST  # NaN is not


def _is_utf8(line: bytes) -> bool:
    if line.isascii():
        return True
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True
