"""``make bench``: the agent's figures beside those of Istio's own, each the median of five."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from bench.load import Load, load
from bench.machine import TRACER, Life, joined_machine, live, silent_resolver, trace_to

RUNS: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    what: str
    unit: str
    figures: Sequence[float]
    goal: str
    pilot_agent: str
    """Version 1.29.6 on a machine like this one; compare ratios, not figures."""


def main() -> None:
    with joined_machine() as lab:
        vm = lab.host("vm")
        live(vm)  # warms the page cache; not counted
        trace_to(vm, None)
        plain = _lives(vm_life=lambda: live(vm), what="without a tracer")
        trace_to(vm, TRACER)
        with silent_resolver(vm):
            traced = _lives(vm_life=lambda: live(vm), what="with the documents' tracer and a silent resolver")
    show(
        [
            Row(
                what="start to ready, Envoy and certificate included",
                unit="s",
                figures=[life.ready for life in plain],
                goal="≤ 1.5",
                pilot_agent="0.15–0.23 (2.17 as users run it)",
            ),
            Row(
                what="… with the zipkin line and a silent resolver",
                unit="s",
                figures=[life.ready for life in traced],
                goal="≤ 1.5",
                pilot_agent="about 75",
            ),
            Row(
                what="idle memory of the daemon, resident",
                unit="MB",
                figures=[life.rss for life in (*plain, *traced)],
                goal="≤ 55",
                pilot_agent="37–44",
            ),
            Row(
                what="… its own share (PSS)",
                unit="MB",
                figures=[life.pss for life in (*plain, *traced)],
                goal="",
                pilot_agent="",
            ),
            *_load_rows(1000, load(1000)),
            *_load_rows(10_000, load(10_000)),
        ]
    )


def _load_rows(services: int, figures: Load) -> list[Row]:
    def row(what: str, seconds: list[float], goal: str) -> Row:
        return Row(what=what, unit="s", figures=seconds, goal=goal, pilot_agent="")

    return [
        row(f"the lab's control plane: {services} services told", [figures.told], "≤ 20"),
        row("… another endpoint of one of them reaches a proxy", figures.endpoint, "≤ 0.3"),
        row("… one service more does, all four types of it", figures.another, ""),
    ]


def _lives(*, vm_life: Callable[[], Life], what: str) -> list[Life]:
    lives = []
    for number in range(1, RUNS + 1):
        lives.append(vm_life())
        print(f"  {what}, {number}/{RUNS}: ready after {lives[-1].ready:.2f} s", flush=True)
    return lives


def show(rows: Sequence[Row]) -> None:
    print(f"\n{'':<48} {'median':>9} {'min':>8} {'max':>8}  {'goal':<7} pilot-agent 1.29.6")
    for row in rows:
        figures = [statistics.median(row.figures), min(row.figures), max(row.figures)]
        told = " ".join(f"{figure:>8.2f}" for figure in figures)
        print(f"{row.what:<48} {told} {row.unit:<3} {row.goal:<7} {row.pilot_agent}")


if __name__ == "__main__":
    main()
