"""Handles of processes in a host. A handle can never mean another process that got the same number later."""

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from lab.hosts.errors import LabError

StatusOf = Callable[[], int | None]
"""How a process ended: its exit status, minus the signal's number if one ended it; None: not known (yet)."""

STATUS_PATIENCE: Final = 2.0
"""Seconds for the host's first process to write down how a child of its ended."""

POLL: Final = 0.005


def birth(pid: int) -> int:
    """When the process began, in clock ticks since boot. Raises ProcessLookupError if there is none, or a
    zombie.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        raise ProcessLookupError(pid) from None
    fields = text.rpartition(")")[2].split()
    if fields[0] in "ZX":
        raise ProcessLookupError(pid)
    return int(fields[19])


def inner_pids(init: int) -> dict[int, int]:
    """Every process of the host whose first process is ``init``: its number there to its number here."""
    there = os.readlink(f"/proc/{init}/ns/pid")
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
            if os.readlink(entry / "ns" / "pid") == there:
                found[_number_inside(entry)] = int(entry.name)
    return found


def outer_pid(inner: int, init: int) -> int | None:
    """None if it has ended already."""
    return inner_pids(init).get(inner)


def _number_inside(entry: Path) -> int:
    line = next(line for line in (entry / "status").read_text().splitlines() if line.startswith("NSpid:"))
    return int(line.split()[-1])


def written_down(exits: Path, inner: int) -> int | None:
    """How process ``inner`` of a host ended, by the lines that the host's first process writes."""
    lines = [line.split() for line in exits.read_text().splitlines()]
    return next((int(status) for pid, status in reversed(lines) if int(pid) == inner), None)


class Process:
    """``pid`` is its number inside the host, ``command`` what it was started with, ``log`` where it
    writes. ``status`` is asked once it has ended.
    """

    def __init__(
        self, *, host: str, pid: int, outer: int | None, status: StatusOf, command: tuple[str, ...], log: str
    ) -> None:
        self.host = host
        self.pid = pid
        self.outer = outer
        self.command = command
        self.log = log
        self._status = status
        self._handle: int | None = None
        if outer is not None:
            with contextlib.suppress(ProcessLookupError):
                self._handle = os.pidfd_open(outer)

    @property
    def alive(self) -> bool:
        return not self._ended(0)

    def signal(self, number: signal.Signals) -> None:
        if self._handle is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, number)

    def terminate(self) -> None:
        self.signal(signal.SIGTERM)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)

    def wait(self, timeout: float) -> int:
        """Its exit status; minus the signal's number if one ended it. Raises LabError after ``timeout``
        seconds.
        """
        if not self._ended(timeout):
            raise LabError(f"{self.host}: {self.command[0]} (pid {self.pid}) still runs after {timeout:g} s")
        deadline = time.monotonic() + STATUS_PATIENCE
        while (status := self._status()) is None:
            if time.monotonic() > deadline:
                raise LabError(f"{self.host}: nobody knows how {self.command[0]} (pid {self.pid}) ended")
            time.sleep(POLL)
        return status

    def stop(self, timeout: float) -> int:
        """SIGTERM, then SIGKILL to it alone once ``timeout`` seconds are over, as systemd does."""
        self.terminate()
        if not self._ended(timeout):
            self.kill()
        return self.wait(STATUS_PATIENCE)

    def _ended(self, timeout: float) -> bool:
        if self._handle is None:
            return True
        poll = select.poll()
        poll.register(self._handle, select.POLLIN)
        return bool(poll.poll(timeout * 1000))

    def __del__(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
