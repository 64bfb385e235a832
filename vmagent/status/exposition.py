"""Metrics as values, and the two texts that they are written in.

Owns:      the form of a metric of ours, of a family of anybody's, and how either is written.
Does not:  know what is measured (catalogue.py), read what others wrote (reader.py) or ask anybody.
Surprise:  OpenMetrics wants every counter to end in ``_total``, and Istio's names do not. Those are of type
           ``unknown`` there: a name that depends on what the scraper accepts would be worse.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Literal

Kind = Literal["counter", "gauge", "histogram"]


class Format(Enum):
    """``value`` is the Content-Type."""

    TEXT = "text/plain; version=0.0.4; charset=utf-8"
    OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"


END: Final = b"# EOF\n"
"""How an OpenMetrics text says that nothing is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    value: float
    labels: tuple[tuple[str, str], ...] = ()
    suffix: str = ""
    """What the sample's name has beyond its metric's: ``_bucket``, ``_sum``, ``_count``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One of our own. ``name`` as in the text format, a counter's ``_total`` included."""

    name: str
    kind: Kind
    help: str
    samples: tuple[Sample, ...]


@dataclass(slots=True)
class Family:
    """One metric with all its samples, as it stands in a text. Belongs to one scrape, so it may be
    changed.
    """

    name: bytes
    kind: bytes = b""
    """Empty: nobody said."""
    help: bytes = b""
    """As written, escapes and all."""
    unit: bytes = b""
    lines: bytearray = field(default_factory=bytearray)
    """Whole lines. One buffer and not a list: a list costs 50 bytes a line, which for many is the half."""


def histogram(
    name: str, help: str, *, bounds: Sequence[float], counts: Sequence[int], total: float
) -> Metric:
    """``counts`` is per bucket, not cumulated, and has one more than ``bounds``; ``total`` is the sum."""
    samples: list[Sample] = []
    so_far = 0
    for bound, count in zip((*bounds, math.inf), counts, strict=True):
        so_far += count
        samples.append(Sample(value=so_far, labels=(("le", _number(bound)),), suffix="_bucket"))
    samples.append(Sample(value=total, suffix="_sum"))
    samples.append(Sample(value=so_far, suffix="_count"))
    return Metric(name=name, kind="histogram", help=help, samples=tuple(samples))


def families(metrics: Iterable[Metric], form: Format) -> Iterator[Family]:
    """Our own metrics as they stand in a text of that form."""
    for metric in metrics:
        name, kind = metric.name, str(metric.kind)
        if form is Format.OPENMETRICS and kind == "counter":
            stem = name.removesuffix("_total")
            name, kind = (stem, kind) if stem != name else (name, "unknown")
        lines = "".join(_line(metric.name, sample) for sample in metric.samples)
        yield Family(
            name.encode(), kind.encode(), _help(metric.help).encode(), b"", bytearray(lines, "utf-8")
        )


def render(found: Iterable[Family], form: Format) -> Iterator[bytes]:
    """In pieces: the whole is never in memory twice. Families without a sample are left out."""
    for family in found:
        if family.lines:
            yield _head(family)
            yield bytes(family.lines)
    if form is Format.OPENMETRICS:
        yield END


def _head(family: Family) -> bytes:
    head = b""
    if family.kind:
        head += b"# TYPE %s %s\n" % (family.name, family.kind)
    if family.unit:
        head += b"# UNIT %s %s\n" % (family.name, family.unit)
    if family.help:
        head += b"# HELP %s %s\n" % (family.name, family.help)
    return head


def _line(name: str, sample: Sample) -> str:
    labels = ",".join(f'{key}="{_escape(value)}"' for key, value in sample.labels)
    return f"{name}{sample.suffix}{f'{{{labels}}}' if labels else ''} {_number(sample.value)}\n"


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _help(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _number(value: float) -> str:
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if math.isnan(value):
        return "NaN"
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(float(value))
