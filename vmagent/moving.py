"""The machine gets another address, by DHCP or by hand: a part of the composition, beside agent.py.

Owns:      when that counts as having happened.
Does not:  know what follows from it (config/placing.py), or who is to be told (agent.py).
Surprise:  an address that goes and comes back within seconds, as at a renewed lease, is no change; a machine
           without any keeps the one that it had.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from vmagent.config.addresses import Changes
from vmagent.config.model import Config
from vmagent.errors import VmagentError
from vmagent.runtime.clock import Clock

log = logging.getLogger("agent")

SETTLED: Final = 1.0
"""Seconds for which it must stay another one: requests are lost for as long."""

BETWEEN: Final = 1.0
"""Seconds at least between looks: what changes all the time, as a router's table, is not looked at all the
time.
"""

LOOK_AGAIN: Final = 60.0
"""Seconds between looks although nothing was heard: the control plane's name may lead elsewhere by now."""


Place: TypeAlias = Callable[[Config], Awaitable[Config]]
"""Returns the configuration for the place where the machine is, the same if that is the same."""


class Moving:
    """A Part."""

    name = "address"
    grace = 0.1

    def __init__(
        self,
        config: Config,
        place: Place,
        moved: Callable[[Config], None],
        *,
        clock: Clock,
    ) -> None:
        self._config = config
        self._place = place
        self._moved = moved
        self._clock = clock
        self._failing = ""

    async def run(self) -> None:
        with Changes() as changes:
            while True:
                await changes.happened(within=LOOK_AGAIN)
                await self._look()
                await self._clock.sleep(BETWEEN)

    async def drain(self) -> None:
        """Nothing is ours."""

    async def _look(self) -> None:
        """Until two looks in a row see the same. One that fails is no news, and told once."""
        try:
            await self._compare()
            failing = ""
        except VmagentError as why:
            failing = str(why)
            if failing != self._failing:
                log.warning("%s; the address stays %s", why, self._config.workload.address)
        self._failing = failing

    async def _compare(self) -> None:
        seen = await self._place(self._config)
        while seen.workload.ips != self._config.workload.ips:
            await self._clock.sleep(SETTLED)
            before, seen = seen, await self._place(self._config)
            if seen.workload.ips == before.workload.ips:
                self._take(seen)

    def _take(self, config: Config) -> None:
        log.warning(
            "this machine's address is %s now, and was %s: registering again",
            config.workload.address,
            self._config.workload.address,
        )
        self._config = config
        self._moved(config)
