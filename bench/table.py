"""The rows that are printed, and how."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    what: str
    unit: str
    figures: Sequence[float]
    goal: str
    pilot_agent: str = ""
    """Version 1.29.6 on a machine like this one; compare ratios, not figures."""


def show(rows: Sequence[Row]) -> None:
    """The quartiles say more of a machine than its one worst moment."""
    print(f"\n{'':<58} {'median':>9} {'25 %':>8} {'75 %':>8}  {'goal':<7} pilot-agent 1.29.6")
    for row in rows:
        figures = [statistics.median(row.figures), *_quartiles(row.figures)]
        told = " ".join(f"{figure:>8.2f}" for figure in figures)
        print(f"{row.what:<58} {told} {row.unit:<3} {row.goal:<7} {row.pilot_agent}", flush=True)


def _quartiles(figures: Sequence[float]) -> tuple[float, float]:
    if len(figures) < 2:
        return figures[0], figures[0]
    first, _, third = statistics.quantiles(figures, n=4, method="inclusive")
    return first, third
