"""What is done while nothing happens: what is held goes to disk, and memory back to the system.

Owns:      when. A large push passes first; putting it away would only stand in its way. And pushes come in
           bursts: the memory of one is kept for the next.
"""

from typing import Final

from vmagent.runtime import memory
from vmagent.runtime.clock import Clock
from vmagent.runtime.waiting import happens
from vmagent.xds.hub import Hub
from vmagent.xds.shelf import Shelf

QUIET: Final = 0.5
"""Seconds without a message: Envoy has answered, or it waits for something."""

LATEST: Final = 5.0
"""Seconds after which what is held goes to disk although messages keep coming."""

REST: Final = 3.0
"""Seconds without a message after which a burst is over."""

LONGEST_BURST: Final = 60.0
"""Seconds after which memory is given back although messages keep coming."""

WORTH: Final = 1_000_000
"""Bytes that must have passed for memory to be given back: pages that are taken anew cost time. What the
start needed is given back in any case.
"""


class Housekeeping:
    """A Part."""

    name = "housekeeping"
    grace = 0.1

    def __init__(self, hub: Hub, shelf: Shelf, *, clock: Clock) -> None:
        self._hub = hub
        self._shelf = shelf
        self._clock = clock
        self._gave_back = clock.monotonic()

    async def run(self) -> None:
        starting = True
        while True:
            await self._hub.moved.wait()
            await self._until_quiet()
            self._hub.quiet()
            self._shelf.tidy(self._hub.held)
            if (starting or self._hub.passed >= WORTH) and await self._burst_is_over():
                starting = False
                self._give_back()

    async def drain(self) -> None:
        """Nothing to finish: what is on disk is gone with the process."""

    async def _until_quiet(self) -> None:
        began = self._clock.monotonic()
        while self._clock.monotonic() - began < LATEST:
            self._hub.moved.clear()
            if not await happens(self._hub.moved, within=QUIET):
                return
        self._hub.moved.clear()

    async def _burst_is_over(self) -> bool:
        if self._clock.monotonic() - self._gave_back > LONGEST_BURST:
            return True
        return not await happens(self._hub.moved, within=REST - QUIET)

    def _give_back(self) -> None:
        self._hub.passed = 0
        self._gave_back = self._clock.monotonic()
        memory.give_back()
