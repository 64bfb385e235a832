"""Counters, gauges and histograms, and the text format in which Prometheus reads them.

Does not:  know what is measured (pilot_metrics.py).
Surprise:  no client library: what this control plane needs of one is this page.
"""

import bisect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

MAX_SERIES: Final = 1000
"""Label values come from clients too; what is beyond is counted under ``other`` in place of each of them."""

Labels = tuple[str, ...]
"""Values, in the order in which the names were given."""


def _series(name: str, labels: Mapping[str, str], value: float) -> str:
    inside = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
    return f"{name}{{{inside}}} {value:.17g}" if inside else f"{name} {value:.17g}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


@dataclass(slots=True)
class Counter:
    name: str
    help: str
    labels: tuple[str, ...] = ()
    values: dict[Labels, float] = field(default_factory=dict)

    def add(self, *labels: str, by: float = 1) -> None:
        if labels not in self.values and len(self.values) >= MAX_SERIES:
            labels = ("other",) * len(self.labels)
        self.values[labels] = self.values.get(labels, 0) + by

    def lines(self) -> Iterator[str]:
        yield f"# TYPE {self.name} counter"
        for labels, value in self.values.items():
            yield _series(self.name, dict(zip(self.labels, labels, strict=True)), value)


@dataclass(slots=True)
class Gauge:
    """Asked for when it is read."""

    name: str
    help: str
    read: Callable[[], Mapping[Labels, float]]
    labels: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        yield f"# TYPE {self.name} gauge"
        for labels, value in self.read().items():
            yield _series(self.name, dict(zip(self.labels, labels, strict=True)), value)


@dataclass(slots=True)
class Histogram:
    name: str
    help: str
    buckets: tuple[float, ...]
    """Upper bounds, rising."""
    labels: tuple[str, ...] = ()
    counts: dict[Labels, list[int]] = field(default_factory=dict)
    sums: dict[Labels, float] = field(default_factory=dict)

    def observe(self, value: float, *labels: str) -> None:
        if labels not in self.counts and len(self.counts) >= MAX_SERIES:
            labels = ("other",) * len(self.labels)
        counts = self.counts.setdefault(labels, [0] * (len(self.buckets) + 1))
        counts[bisect.bisect_left(self.buckets, value)] += 1
        self.sums[labels] = self.sums.get(labels, 0.0) + value

    def lines(self) -> Iterator[str]:
        yield f"# TYPE {self.name} histogram"
        for values, counts in self.counts.items():
            labels = dict(zip(self.labels, values, strict=True))
            total = 0
            for bound, count in zip((*self.buckets, float("inf")), counts, strict=True):
                total += count
                text = "+Inf" if bound == float("inf") else f"{bound:g}"
                yield _series(f"{self.name}_bucket", {**labels, "le": text}, total)
            yield _series(f"{self.name}_sum", labels, self.sums[values])
            yield _series(f"{self.name}_count", labels, total)


Instrument = Counter | Gauge | Histogram


def text(instruments: Iterator[Instrument]) -> str:
    lines = []
    for each in instruments:
        lines += [f"# HELP {each.name} {each.help}", *each.lines()]
    return "\n".join(lines) + "\n"
