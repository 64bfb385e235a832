"""Faults that are acts: what has to be done when one is switched, and is undone when it is switched back.

Does not:  know of the faults that are conditions; whoever would otherwise behave asks for those.
"""

import asyncio
import logging
import ssl
from collections.abc import Callable
from typing import Any, Final

from lab.controlplane.faults import Faults
from lab.controlplane.front import Manner, TlsFront

log = logging.getLogger("faults")

_AGAIN: Final = 0.5
"""Seconds until another try to have the port back."""


class Misbehaviour:
    def __init__(
        self,
        faults: Faults,
        front: TlsFront,
        context: Callable[[bool], ssl.SSLContext],
        refresh: Callable[[], None],
    ) -> None:
        """``context`` makes TLS with a certificate, an expired one if it is told so; ``refresh``: proxies
        are to look again."""
        self._faults = faults
        self._front = front
        self._context = context
        self._refresh = refresh
        self._one_at_a_time = asyncio.Lock()
        self._done: tuple[Manner, bool] = (Manner(), False)
        self._told: tuple[Any, ...] = _resources(Faults())

    async def follow(self) -> None:
        """Endless."""
        while True:
            turn = self._faults.turn
            try:
                await self.act()
            except OSError as why:
                log.error("cannot have the discovery port back: %s; trying again", why)
                await self._faults.changed(within=_AGAIN)
            else:
                await turn.wait()

    async def act(self) -> None:
        """What is asked for is in force when this returns. Raises OSError when the port is not to be had."""
        async with self._one_at_a_time:
            faults = self._faults
            manner = Manner(
                listening=not faults.away,
                flowing=not faults.half_open,
                rate=faults.rate,
                garbage=faults.garbage == "bytes",
            )
            wanted = (manner, faults.expired_server)
            if wanted != self._done:
                await self._front.behave(manner, self._context(faults.expired_server))
                self._done = wanted
                log.warning("faults\t%s", {name: value for name, value in faults.values().items() if value})
            if self._told != _resources(faults):
                self._told = _resources(faults)
                self._refresh()


def _resources(faults: Faults) -> tuple[Any, ...]:
    return faults.garbage == "resource", faults.refused_listener, faults.padding
