"""The only door to time. Parts take a ``Clock``, so that tests need not sleep."""

import asyncio
import time
from typing import Final, Protocol


class Clock(Protocol):
    def now(self) -> float:
        """Wall clock, seconds since the epoch: for things that other people date, such as certificates."""
        ...

    def monotonic(self) -> float:
        """Seconds that never jump: for measuring how long something took."""
        ...

    async def sleep(self, seconds: float) -> None: ...


class SystemClock:
    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


LATEST: Final = 253_402_300_799
"""The last second of the year 9999. What claims to be later is counted in other units than seconds."""


def rfc3339(epoch: float) -> str:
    """UTC, whole seconds: ``2026-11-21T03:47:00Z``."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch))
