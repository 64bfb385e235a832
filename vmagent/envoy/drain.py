"""How one Envoy is let go: its connections first.

Owns:      how long they get, and who is counted.
Does not:  know what comes before and after (supervisor.py).
"""

import asyncio
import logging
from typing import Final

from vmagent.envoy.admin import TIMEOUT, Admin
from vmagent.envoy.config import EnvoyConfig
from vmagent.envoy.process import KILL_LIMIT, Child
from vmagent.envoy.succession import TERM_PATIENCE
from vmagent.errors import Unavailable
from vmagent.runtime.clock import Clock
from vmagent.runtime.lifecycle import Tasks

log = logging.getLogger("envoy")

ZERO_LIMIT: Final = 15.0
"""Seconds that a stop waits at most with exit_on_zero. Istio has no bound, and systemd kills it."""
COUNT_EVERY: Final = 0.25


class Drain:
    def __init__(self, config: EnvoyConfig, admin: Admin, clock: Clock) -> None:
        self._config = config
        self._admin = admin
        self._clock = clock
        timing = config.timing
        self._limit = timing.minimum_drain + ZERO_LIMIT if config.exit_on_zero else timing.termination_drain
        self.grace = TIMEOUT + self._limit + TERM_PATIENCE + KILL_LIMIT
        """Seconds that ``let_go`` may take."""

    async def let_go(self, child: Child, *, served: bool) -> None:
        """Connections are asked to leave and given time; then TERM, then KILL."""
        async with Tasks() as tasks:
            ended = tasks.start("envoy-exit", child.wait())
            try:
                if served:
                    await self._admin.drain_listeners(inbound_only=self._config.drains_inbound_only)
                    await self._until_quiet(ended)
            except Unavailable as why:
                log.warning("draining is not possible, ending at once: %s", why)
            how = await child.stop(TERM_PATIENCE) if not ended.done() else "itself"
            log.info("Envoy ended by %s", how)
            ended.cancel()

    async def _until_quiet(self, ended: asyncio.Task[None]) -> None:
        """Returns when nobody is connected any more, when the time is over, or when Envoy is gone."""
        begun = self._clock.monotonic()
        least = self._config.timing.minimum_drain if self._config.exit_on_zero else 0.0
        while not ended.done():
            spent = self._clock.monotonic() - begun
            if spent >= self._limit:
                log.info("some connections did not end within %g s", self._limit)
                return
            if spent >= least and await self._admin.active_connections(self._config.ports.envoys) == 0:
                return
            await self._clock.sleep(COUNT_EVERY)
