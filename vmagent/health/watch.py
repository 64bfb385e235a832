"""Probes again and again, and publishes what changes.

Surprise: Envoy counts, too. While it cannot take traffic the application is not asked, since no request could
          reach it; the reason is then Envoy's.
"""

import logging
from collections.abc import Callable
from typing import Final

from vmagent.health.checks import Check, Checks
from vmagent.health.config import ProbeConfig
from vmagent.health.verdict import Tally, Verdict, after
from vmagent.runtime.clock import Clock
from vmagent.runtime.latest import Latest

log = logging.getLogger("healthcheck")  # Istio's name for this scope


ENVOY_STARTS: Final = 0.1
"""Seconds between looks at an Envoy that has yet to start: a whole period (10 s) later would keep the first
request of a fresh VM waiting."""


class HealthWatch:
    """A Part. ``envoy_ready`` returns None, or the reason why Envoy is not ready; it must not block."""

    name = "health"
    grace = 1.0

    def __init__(
        self,
        probe: ProbeConfig,
        verdicts: Latest[Verdict],
        *,
        envoy_ready: Callable[[], str | None],
        clock: Clock,
        check: Check | None = None,
    ) -> None:
        self._probe = probe
        self._verdicts = verdicts
        self._envoy_ready = envoy_ready
        self._clock = clock
        self._check = check or Checks().check
        self._tally = Tally()
        self._crash = ""
        self.last = ""
        """What the last probe found, whatever the thresholds: empty is success. For status."""

    async def run(self) -> None:
        """The first probe comes right after the initial delay, and not before Envoy takes traffic: until then
        nothing is reported, which the control plane counts as unhealthy. A probe that outlasts the period
        delays the next one; the ticks it missed are dropped.
        """
        await self._clock.sleep(self._probe.initial_delay)
        while self._envoy_ready() is not None:
            await self._clock.sleep(ENVOY_STARTS)
        due = self._clock.monotonic()
        while True:
            self._weigh(self._envoy_ready() or await self._ask())
            now = self._clock.monotonic()
            due += self._probe.period * max(1, -(-(now - due) // self._probe.period))
            await self._clock.sleep(max(0.0, due - now))

    def retarget(self, probe: ProbeConfig) -> None:
        """Another address to ask at, from the next probe on."""
        self._probe = probe

    async def drain(self) -> None:
        """Nothing to finish: the control plane learns of our leaving by the end of the stream."""

    async def _ask(self) -> str | None:
        """What no probe should raise costs one verdict, never the agent, on which all traffic depends."""
        try:
            return await self._check(self._probe)
        except Exception as bug:
            failure = f"the probe itself failed: {type(bug).__name__}: {bug}"
            if failure != self._crash:
                log.error("the probe itself failed", exc_info=True)
            self._crash = failure
            return failure

    def _weigh(self, failure: str | None) -> None:
        self.last = failure or ""
        self._tally, verdict = after(
            self._tally,
            failure,
            successes=self._probe.success_threshold,
            failures=self._probe.failure_threshold,
        )
        if verdict is None:
            return
        if verdict.healthy:
            log.info("application is healthy")
        else:
            log.warning("application is unhealthy: %s", verdict.message)
        self._verdicts.publish(verdict)
