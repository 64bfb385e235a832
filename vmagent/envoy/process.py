"""The only door to Envoy's process: starting it, recognising it, ending it.

Owns:      process groups, signals, birth times, what an exit status means.
Does not:  know why it is started or ended (supervisor.py), or what it says (admin.py).
Surprise:  a birth time is counted from the boot of the machine, not from 1970: a clock that is set right
           after the start, as on most VMs, would make every process look like another one.
"""

import asyncio
import contextlib
import errno
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, Self

from vmagent.errors import Misconfigured, Unavailable, VmagentError
from vmagent.runtime.clock import Clock

KILL_LIMIT: Final = 2.0
"""Seconds for a killed process to be gone. More means that it hangs in the kernel, where nobody can help."""

_SAME_BIRTH: Final = 0.02
"""Seconds. The kernel counts births in ticks of 10 ms."""

_POLL: Final = 0.05
"""Seconds between looks at a process that is not our child."""

Streams = tuple[int, int]
"""File descriptors for standard output and error."""

CHECK_LIMIT: Final = 5.0
"""Seconds for an Envoy that only checks its command line and its files. It needs 0.1."""
LONGEST_OUTPUT: Final = 1 << 16
"""Bytes of it that are read: usage texts have about 10 000."""


@dataclass(frozen=True, slots=True)
class ProcessId:
    """A pid alone can be recycled; a pid with its birth time cannot."""

    pid: int
    born: float
    """Seconds from boot to birth."""

    @classmethod
    def of(cls, pid: int) -> Self | None:
        """None if there is no such process, or only its remains."""
        import psutil  # 1.4 MB: not before there is a process to look at

        try:
            process = psutil.Process(pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                return None
            return cls(pid, round(process.create_time() - psutil.boot_time(), 2))
        except psutil.NoSuchProcess:
            return None

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """What ``str()`` wrote, None for anything else: a damaged pid file names nobody."""
        pid, _, born = text.strip().partition(" ")
        try:
            return cls(int(pid), float(born))
        except ValueError:
            return None

    def __str__(self) -> str:
        return f"{self.pid} {self.born:.2f}"

    def alive(self) -> bool:
        now = ProcessId.of(self.pid)
        return now is not None and abs(now.born - self.born) <= _SAME_BIRTH

    async def end(self, patience: float, clock: Clock) -> bool:
        """For a process that another agent started: TERM, KILL after ``patience`` seconds. True: it is gone.

        The pidfd is taken before the birth time is compared, so the signal cannot hit a stranger.
        """
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return True
        try:
            for number, limit in ((signal.SIGTERM, patience), (signal.SIGKILL, KILL_LIMIT)):
                if not self.alive():
                    return True
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(handle, number)
                deadline = clock.monotonic() + limit
                while self.alive() and clock.monotonic() < deadline:
                    await clock.sleep(_POLL)
            return not self.alive()
        except PermissionError:
            return False
        finally:
            os.close(handle)


class Child(Protocol):
    """A process of ours, leader of its own session and group."""

    @property
    def pid(self) -> int: ...

    async def wait(self) -> int:
        """Its return code, negative for a signal. May be called by several tasks."""
        ...

    async def stop(self, patience: float) -> str:
        """TERM to the group, KILL after ``patience`` seconds. Returns the name of the signal that worked."""
        ...

    def kill(self) -> None:
        """KILL to the group, now. Harmless if it is gone."""
        ...

    def reopen_logs(self) -> None:
        """USR1 to the process: Envoy opens the files it logs to again. One that is just starting would end
        of it.
        """
        ...


class _Child:
    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    async def wait(self) -> int:
        return await self._process.wait()

    async def stop(self, patience: float) -> str:
        for number, limit in ((signal.SIGTERM, patience), (signal.SIGKILL, KILL_LIMIT)):
            self._signal(number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(limit):
                    await self._process.wait()
                    return number.name
        return "nothing"

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def reopen_logs(self) -> None:
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGUSR1)

    def _signal(self, number: signal.Signals) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)


async def spawn(arguments: Sequence[str], environment: Mapping[str, str], output: Streams | None) -> Child:
    """Raises Misconfigured (a person must mend something) or Unavailable (try again), naming the binary.

    stdin is empty; without ``output`` stdout and stderr are ours; of our environment nothing is passed on.
    """
    stdout, stderr = output or (None, None)
    try:
        process = await asyncio.create_subprocess_exec(
            *arguments,
            env=dict(environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            cwd="/",
            start_new_session=True,
        )
    except OSError as why:
        raise refusal(Path(arguments[0]), why) from why
    return _Child(process)


async def check(arguments: Sequence[str], environment: Mapping[str, str]) -> str:
    """What Envoy prints when it only has to check its command line and its files. Empty if it cannot be
    asked.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *arguments,
            "--mode",
            "validate",
            env=dict(environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            cwd="/",
            start_new_session=True,
        )
    except OSError:
        return ""
    child, printed = _Child(process), b""
    assert process.stdout is not None
    try:
        async with asyncio.timeout(CHECK_LIMIT):
            while len(printed) < LONGEST_OUTPUT and (more := await process.stdout.read(LONGEST_OUTPUT)):
                printed += more
    except TimeoutError:
        return ""
    finally:
        child.kill()
        await child.wait()
    return printed.decode(errors="replace")


def refusal(binary: Path, why: OSError) -> VmagentError:
    """Why a program could not be started, as something that a person can act on."""
    match why.errno:
        case errno.ENOENT if binary.exists():
            return Misconfigured(
                f"{binary}: a file that it needs to run is missing ({why.filename})",
                hint="is it built for this machine? try it with --version",
            )
        case errno.ENOENT | errno.ENOTDIR:
            return Misconfigured(
                f"{binary}: no such file", hint="install Envoy there, or name another place in binaryPath"
            )
        case errno.EACCES | errno.EISDIR | errno.EPERM:
            return Misconfigured(
                f"{binary}: this user may not execute it",
                hint=f"chmod 0755 {binary}, and its folders as well",
            )
        case errno.ENOEXEC:
            return Misconfigured(
                f"{binary}: not a program for this machine", hint=f"install an Envoy for {os.uname().machine}"
            )
        case _:
            return Unavailable(f"{binary}: cannot be started: {why.strerror}")


def explain(code: int) -> str:
    """What a return code (as ``Child.wait`` gives it) means to an operator."""
    if code >= 0:
        return f"exit status {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hints = {
        "SIGKILL": ": the kernel does so when memory runs out (journalctl -k | grep -i oom)",
        "SIGSEGV": ": Envoy crashed",
        "SIGABRT": ": Envoy gave up on itself, its log has the reason",
        "SIGILL": ": this processor lacks instructions that Envoy was built for",
        "SIGBUS": ": /dev/shm or a mapped file is full",
    }
    return f"killed by {name}{hints.get(name, '')}"
