"""``make bench``: the agent's figures beside those of Istio's own.

``python -m bench [start] [relay] [load]`` measures some of it; without a word, all.
"""

import sys
from collections.abc import Callable
from typing import Final

from bench.load import Load, load
from bench.machine import TRACER, Life, joined_machine, live, silent_resolver, trace_to
from bench.relay import Figures, Pushes, measure
from bench.table import Row, show
from lab.hosts.lab import Lab

RUNS: Final = 5

GO_AGENT: Final = {False: ("state of the world", "1.8", "1.9"), True: ("incremental", "1.6", "2.4")}
"""Of pilot-agent: a push of 30 MB and of 1 MB, by variant."""


def main(words: list[str]) -> None:
    wanted = set(words) or {"start", "relay", "load"}
    rows: list[Row] = []
    with joined_machine() as lab:
        if "start" in wanted:
            rows += _start_rows(lab)
        if "relay" in wanted:
            rows += _relay_rows(lab)
    if "load" in wanted:
        rows += [row for services in (1000, 10_000) for row in _load_rows(services, load(services))]
    show(rows)


def _start_rows(lab: Lab) -> list[Row]:
    vm = lab.host("vm")
    live(vm)  # warms the page cache; not counted
    trace_to(vm, None)
    plain = _lives(vm_life=lambda: live(vm), what="without a tracer")
    trace_to(vm, TRACER)
    with silent_resolver(vm):
        traced = _lives(vm_life=lambda: live(vm), what="with the documents' tracer and a silent resolver")
    trace_to(vm, None)
    lives = (*plain, *traced)
    return [
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
            figures=[life.rss for life in lives],
            goal="≤ 55",
            pilot_agent="37–44",
        ),
        Row(what="… its own share (PSS)", unit="MB", figures=[life.pss for life in lives], goal=""),
    ]


def _relay_rows(lab: Lab) -> list[Row]:
    """Pushes as ratios to the same client straight at the control plane, in turns."""
    rows: list[Row] = []
    for delta, (variant, large, small) in GO_AGENT.items():
        print(f"  relay, {variant}", flush=True)
        found = measure(lab, delta=delta)
        rows += [
            _ratio(f"a push of 30 MB, {variant}", found.large, "≤ 1.4", large),
            _ratio(f"a push of 1 MB, {variant}", found.small, "≤ 1.6", small),
            _ratio(f"10 000 clusters with Istio's filters, {variant}", found.with_filters, "≤ 3"),
            *_memory_rows(found, variant),
        ]
        if found.one:
            what = "a change of one cluster among 10 000: the agent adds"
            rows.append(Row(what=what, unit="ms", figures=found.one.added, goal="≤ 2"))
    return rows


def _ratio(what: str, pushes: Pushes, goal: str, pilot_agent: str = "") -> Row:
    return Row(what=what, unit="×", figures=pushes.ratios, goal=goal, pilot_agent=pilot_agent)


def _memory_rows(found: Figures, variant: str) -> list[Row]:
    return [
        Row(what="memory after ten pushes of 30 MB", unit="MB", figures=[found.after_ten], goal="≤ 150"),
        Row(
            what="… after twenty",
            unit="MB",
            figures=[found.after_twenty],
            goal="≤ 150",
            pilot_agent="436" if variant == "incremental" else "293",
        ),
        Row(
            what="memory with 10 000 services",
            unit="MB",
            figures=found.services,
            goal="≤ 70",
            pilot_agent="53 (93 at the push)",
        ),
    ]


def _load_rows(services: int, figures: Load) -> list[Row]:
    def row(what: str, seconds: list[float], goal: str) -> Row:
        return Row(what=what, unit="s", figures=seconds, goal=goal)

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


if __name__ == "__main__":
    main(sys.argv[1:])
