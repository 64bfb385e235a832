"""A stop that nobody notices: the mesh hears of it first, then the packet rules go, and Envoy last.

Owns:      the order of these three, and how long each of the others gets.
Does not:  drain Envoy (envoy/drain.py) or touch rules (capture/hold.py).
Surprise:  rules that went first would hand the mesh's requests to the application in TLS; rules that went
           last would lead to an Envoy that is gone.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from vmagent.health.verdict import Verdict
from vmagent.runtime import files, readiness
from vmagent.runtime.latest import Latest
from vmagent.runtime.places import CAPTURE_RUN, LEAVING
from vmagent.xds.hub import Hub

log = logging.getLogger("agent")

SPREAD: Final = 2.0
"""Seconds from our report that we are unhealthy until clients have it: istiod collects changes for 0.1 s and
pushes; nothing tells when they have arrived.
"""

RULES_LIMIT: Final = 8.0
"""Seconds for the capture process to take the rules back. It needs one; iptables may be locked by others."""

LOOK: Final = 0.05


def reporter(hub: Hub, verdicts: Latest[Verdict]) -> Callable[[], bool]:
    """Reports us unhealthy where the mesh takes us for healthy; says whether it did."""

    def report() -> bool:
        verdict = verdicts.value
        if not (verdict and verdict.healthy and hub.connected):
            return False
        hub.report_health("the agent is stopping")
        return True

    return report


class Farewell:
    """A Part that only drains. After Envoy in the order of data, so before it at the end."""

    name = "farewell"
    grace = SPREAD + RULES_LIMIT + 1.0

    def __init__(self, report: Callable[[], bool], *, run_dir: Path, capture_dir: Path = CAPTURE_RUN) -> None:
        """``report`` says that we are unhealthy; False: there was nothing to take back."""
        self.stays = False
        """Whether the stop is for a successor: then nobody hears of it."""
        self._report = report
        self._run_dir = run_dir
        self._capture = capture_dir / "gates"

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def drain(self) -> None:
        if self.stays:
            return
        if self._report():
            log.info("reported unhealthy: clients get %g s to go elsewhere", SPREAD)
            await asyncio.sleep(SPREAD)
        if not files.publish(self._run_dir / LEAVING, b"", mode=0o644):
            return
        try:
            async with asyncio.timeout(RULES_LIMIT):
                while self._captured():  # noqa: ASYNC110  # another process's file
                    await asyncio.sleep(LOOK)
        except TimeoutError:
            log.warning("the rules are still there after %g s: Envoy leaves all the same", RULES_LIMIT)

    def _captured(self) -> bool:
        return readiness.read(self._capture, ("capture",))["capture"] == readiness.OPEN
