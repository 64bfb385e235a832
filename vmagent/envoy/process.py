"""Processes by their pid and birth time: recognising one, watching it, ending it.

Owns:      birth times, handles (pidfd_open(2)), signals.
Does not:  start anything (launch.py); know why something is ended (supervisor.py).
Surprise:  a birth time is counted from the boot of the machine, not from 1970: a clock that is set right
           after the start, as on most VMs, would make every process look like another one.
           Nobody's child is watched here, so nobody's exit status is known: that of an Envoy goes to the
           machine's first process.
"""

import asyncio
import contextlib
import errno
import os
import signal
from dataclasses import dataclass
from typing import Final, Protocol, Self

from vmagent.errors import Unavailable

KILL_LIMIT: Final = 2.0
"""Seconds for a killed process to be gone. More means that it hangs in the kernel, where nobody can help."""

LARGEST_PID: Final = 1 << 22
"""Of Linux, whatever the machine."""

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_SAME_BIRTH: Final = 0.02
"""Seconds. The kernel counts births in ticks of 10 ms."""

_NO_PROCESS: Final = (errno.ESRCH, errno.ENOENT, errno.EINVAL)
"""What pidfd_open(2) says of no process, and, by kernel, of a thread that is none."""


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A pid alone can be recycled; a pid with its birth time cannot."""

    pid: int
    born: float
    """Seconds from boot to birth."""

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """None if there is none, or only its remains. Raises Unavailable if that cannot be seen."""
        import psutil  # 1.4 MB, for an Envoy that was there before

        try:
            process = psutil.Process(pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
            return cls(pid, round(process.create_time() - psutil.boot_time(), 2))
        except psutil.NoSuchProcess:
            return None
        except OSError as why:  # too many open files
            raise Unavailable(f"process {pid} cannot be looked at: {why.strerror}") from why

    @classmethod
    def newborn(cls, told: bytes) -> Self | None:
        """Of what a process says of itself: pid, and birth in ticks. None if it says something else."""
        pid, _, ticks = told.partition(b" ")
        return cls(int(pid), int(ticks) / _TICKS) if pid.isdigit() and ticks.isdigit() else None

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """What ``str()`` wrote, None for anything else: a damaged pid file names nobody."""
        pid, _, born = text.strip().partition(" ")
        try:
            read = cls(int(pid), float(born))
        except ValueError:
            return None
        return read if 0 < read.pid <= LARGEST_PID else None

    def __str__(self) -> str:
        return f"{self.pid} {self.born:.2f}"

    def alive(self) -> bool:
        now = ProcessId.of(self.pid)
        return now is not None and abs(now.born - self.born) <= _SAME_BIRTH


class Child(Protocol):
    """An Envoy of ours, whoever started it."""

    @property
    def pid(self) -> int: ...

    async def wait(self) -> None:
        """Returns when it is gone. May be called by several tasks."""
        ...

    async def stop(self, patience: float) -> str:
        """TERM, KILL after ``patience`` seconds. Returns the name of the signal that worked."""
        ...

    def kill(self) -> None:
        """KILL, now. Harmless if it is gone."""
        ...

    def reopen_logs(self) -> None:
        """USR1: Envoy opens the files it logs to again. One that is just starting would end of it."""
        ...


class Running:
    """A ``Child`` by its handle: no signal can hit a stranger that got its number. Needs a running event
    loop.
    """

    def __init__(self, pid: int, handle: int) -> None:
        self.pid = pid
        self._handle = handle
        self._gone = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(handle, self._ended)

    @classmethod
    def of(cls, process: ProcessId) -> Self | None:
        """None if it is gone, its number a thread's by now included. The handle is taken before the birth is
        compared: afterwards it would be a stranger's. Raises Unavailable when there is no handle to be had.
        """
        handle = _handle(process.pid)
        if handle is None:
            return None
        try:
            alive = process.alive()
        except Unavailable:
            os.close(handle)
            raise
        if not alive:
            os.close(handle)
            return None
        return cls(process.pid, handle)

    @classmethod
    def newborn(cls, process: ProcessId) -> Self | None:
        """One that waits for us to go on, so that nobody else can have its number. None if it is gone, raises
        as ``of`` does.
        """
        handle = _handle(process.pid)
        return None if handle is None else cls(process.pid, handle)

    async def wait(self) -> None:
        await self._gone.wait()

    async def stop(self, patience: float) -> str:
        for number, limit in ((signal.SIGTERM, patience), (signal.SIGKILL, KILL_LIMIT)):
            self._signal(number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(limit):
                    await self._gone.wait()
                    return number.name
        return "nothing"

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def reopen_logs(self) -> None:
        self._signal(signal.SIGUSR1)

    def _signal(self, number: signal.Signals) -> None:
        """Another user's process is not ended by it: who waits will see."""
        if not self._gone.is_set():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                signal.pidfd_send_signal(self._handle, number)

    def _ended(self) -> None:
        self._loop.remove_reader(self._handle)
        os.close(self._handle)
        with contextlib.suppress(ChildProcessError):  # an agent that is the first process, as in a container
            os.waitpid(self.pid, os.WNOHANG)
        self._gone.set()


def _handle(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except OSError as why:
        if why.errno in _NO_PROCESS:
            return None
        raise Unavailable(f"process {pid} cannot be watched: {why.strerror}") from why
