"""The control plane's tasks: each has a name, all end with their owner, and a crash is not forgotten.

A task group would do, but it must be left by the task that entered it, and a test's fixture starts and
stops the control plane from two different ones.
"""

import asyncio
import logging
from collections.abc import Coroutine

log = logging.getLogger("controlplane")


class Background:
    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[None]] = []
        self.crashed = asyncio.Event()

    def start(self, name: str, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, name=name)
        task.add_done_callback(self._ended)
        self._tasks.append(task)

    async def stop(self) -> None:
        """Cancels all and waits for them; raises what one of them died of."""
        for task in self._tasks:
            task.cancel()
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        for result in results:
            if isinstance(result, Exception):
                raise result

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (crash := task.exception()) is not None:
            log.error("task %s crashed: %r", task.get_name(), crash)
            self.crashed.set()
