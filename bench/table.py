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
    print(f"\n{'':<58} {'median':>9} {'min':>8} {'max':>8}  {'goal':<7} pilot-agent 1.29.6")
    for row in rows:
        figures = [statistics.median(row.figures), min(row.figures), max(row.figures)]
        told = " ".join(f"{figure:>8.2f}" for figure in figures)
        print(f"{row.what:<58} {told} {row.unit:<3} {row.goal:<7} {row.pilot_agent}", flush=True)
