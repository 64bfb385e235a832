"""One task group; every task has a name, an owner and an end; nobody else starts tasks."""

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

log = logging.getLogger("lifecycle")


class Part(Protocol):
    """Something that runs until it is drained."""

    name: str
    grace: float
    """Seconds its drain may take. The sum over all parts stays below the unit's TimeoutStopSec; a test adds
    them up.
    """

    async def run(self) -> None:
        """Returns only when cancelled. An exception from here brings the agent down: half alive is the worst
        state.
        """
        ...

    async def drain(self) -> None:
        """Finish what was begun; afterwards ``run`` is cancelled."""
        ...


async def run_parts(parts: Sequence[Part], stop: asyncio.Event) -> None:
    """Start in data-flow order, drain in reverse; the first crash stops everything."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(part.run(), name=part.name) for part in parts]
        await stop.wait()
        for part, task in reversed(list(zip(parts, tasks, strict=True))):
            try:
                async with asyncio.timeout(part.grace):
                    await part.drain()
            except TimeoutError:
                log.warning("drain part=%s gave up after %gs, cancelling", part.name, part.grace)
            task.cancel()


class Tasks:
    """The tasks of one owner: named, awaited at the end, the first crash cancels the rest."""

    def __init__(self) -> None:
        self._group = asyncio.TaskGroup()

    async def __aenter__(self) -> "Tasks":
        await self._group.__aenter__()
        return self

    async def __aexit__(self, *exc: Any) -> None:
        await self._group.__aexit__(*exc)

    def start(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return self._group.create_task(work, name=name)


def start_thread(name: str, work: Callable[[], None]) -> threading.Thread:
    """For the two loops that must not wait for the event loop, nor it for them. Ends with the process at the
    latest.
    """
    thread = threading.Thread(target=work, name=name, daemon=True)
    thread.start()
    return thread
