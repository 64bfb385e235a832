"""One thread beside the event loop, in which snapshots are built one after another.

Surprise:  two threads would not build faster, since Python runs one at a time, and would keep the event loop
           waiting twice as long.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


class Builder:
    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="build")

    async def run(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def stop(self) -> None:
        """What runs now ends by itself; what waits does not begin."""
        self._thread.shutdown(wait=False, cancel_futures=True)
