"""From the results of single probes to a verdict on the application: counts against thresholds. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """``message`` says why not; empty when healthy."""

    healthy: bool
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """``healthy`` is None until a threshold is reached for the first time. ``in_a_row`` counts results of one
    kind."""

    healthy: bool | None = None
    last: bool | None = None
    in_a_row: int = 0


def after(
    tally: Tally, failure: str | None, *, successes: int, failures: int
) -> tuple[Tally, Verdict | None]:
    """``failure`` is what the probe found, None for success; ``successes`` and ``failures`` are the
    thresholds.

    The verdict is None while nothing changed: what is reported upstream is a change, never a heartbeat.
    """
    good = failure is None
    in_a_row = tally.in_a_row + 1 if tally.last is good else 1
    if tally.healthy is good or in_a_row < (successes if good else failures):
        return Tally(healthy=tally.healthy, last=good, in_a_row=in_a_row), None
    return Tally(healthy=good, last=good, in_a_row=in_a_row), Verdict(healthy=good, message=failure or "")
