"""The ``exec`` probe: a command of the operator's. The room's only door to processes.

Surprise:  the kernel may hold a command beyond SIGKILL, while its disk or file system hangs. Nobody waits for
           it then, and none is started beside it.
"""

import asyncio
import contextlib
import os
import signal
from typing import Final

from vmagent.health.config import Exec

GOODBYE: Final = 1.0
"""Seconds that a killed command has to be gone."""


class Commands:
    """One at a time."""

    def __init__(self) -> None:
        self._held: asyncio.subprocess.Process | None = None
        """The one that was killed and did not end."""

    async def run(self, method: Exec, timeout: float) -> str | None:
        """None: exit status 0. Else what was found. In a process group of its own, all of which is killed at
        the limit: a shell's children, too. Takes GOODBYE more then.
        """
        what = f"command {method.command[0]}"
        if self._held is not None and self._held.returncode is None:
            pid = self._held.pid
            return f"{what}: the one of before was killed, and the kernel has not ended it (pid {pid})"
        self._held = None
        try:
            process = await asyncio.create_subprocess_exec(
                *method.command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            return f"{what}: {(os.strerror(error.errno) if error.errno else str(error)).lower()}"
        except ValueError as error:
            return f"{what}: {error}"
        try:
            async with asyncio.timeout(timeout):
                code = await process.wait()
        except TimeoutError:
            return f"{what}: did not end within {timeout:g} s and was killed"
        finally:
            if process.returncode is None:
                await self._kill(process)
        if code == 0:
            return None
        return f"{what}: ended by signal {-code}" if code < 0 else f"{what}: exit status {code}"

    async def _kill(self, process: asyncio.subprocess.Process) -> None:
        with contextlib.suppress(ProcessLookupError):  # it has ended, and asyncio has yet to hear of it
            os.killpg(process.pid, signal.SIGKILL)
        try:
            async with asyncio.timeout(GOODBYE):
                await process.wait()
        except TimeoutError:
            self._held = process
