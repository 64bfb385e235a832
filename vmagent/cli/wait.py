"""``vmagent wait``: until the agent's gates are open."""

import time

import click

from vmagent.errors import Unavailable
from vmagent.runtime import readiness
from vmagent.runtime.places import CAPTURE_RUN, GATES, RUN

PERIOD = 0.05
"""Seconds between looks: a look is a few reads from a tmpfs."""


@click.command()
@click.argument("gates", nargs=-1, type=click.Choice((*GATES, "capture")), metavar="[GATE]...")
@click.option("--timeout", default=60.0, help="Seconds after which to give up.")
def wait(gates: tuple[str, ...], timeout: float) -> None:
    """Wait until the agent is ready, or only until the named gates are open.

    \b
    Gates: config identity xds dns envoy, and capture (of istio-capture, which opens it after all others).
    Exits with 0 as soon as they are, with 75 if they are not in time, saying which one waits for what.
    """
    deadline = time.monotonic() + timeout
    while waiting := closed(gates or GATES):
        if time.monotonic() > deadline:
            told = "; ".join(f"{gate}: {why}" for gate, why in waiting.items())
            raise Unavailable(f"not ready after {timeout:g} s: {told}", hint="vmagent status")
        time.sleep(PERIOD)


def closed(gates: tuple[str, ...]) -> dict[str, str]:
    """The gates that are not open, with the reason."""
    ours = tuple(gate for gate in gates if gate != "capture")
    states = readiness.read(RUN / "gates", ours) if ours else {}
    if "capture" in gates:
        states |= readiness.read(CAPTURE_RUN / "gates", ("capture",), who="istio-capture")
    return {gate: state for gate, state in states.items() if state != readiness.OPEN}
