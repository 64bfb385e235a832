"""Waiting for something, but not for ever."""

import asyncio
import contextlib


async def happens(event: asyncio.Event, *, within: float) -> bool:
    """Whether ``event`` was set within so many seconds.

    Not by asyncio.wait_for(), which in Python 3.11 loses a cancellation that comes together with the event.
    """
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within):
            await event.wait()
    return event.is_set()
