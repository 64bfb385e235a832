"""The same process once more, with the program as it now lies on disk (execve(2)).

Owns:      whether that program would start, and what of this process the next one gets: its number, its
           environment, and open sockets, told as systemd tells them (sd_listen_fds(3)).
Does not:  know what has to be finished before (daemon.py).
"""

import asyncio
import contextlib
import fcntl
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn

from vmagent.runtime.systemd import FIRST_INHERITED

TRIAL: Final = (sys.executable, "-I", "-c", "import vmagent.daemon")
"""Loads whatever the daemon loads, and does nothing."""

TRIAL_LIMIT: Final = 20.0
"""Seconds. It takes 0.3; a machine that is busy with an upgrade may need more."""

LONGEST: Final = 300
"""Characters of the last words of a program that does not start."""

_DEADLY: Final = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT)
"""Harmless to the daemon, and the end of an interpreter that is only starting."""


async def obstacle() -> str:
    """Why the program on disk would not start; empty if it would."""
    try:
        process = await asyncio.create_subprocess_exec(
            *TRIAL,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            cwd="/",
        )
    except OSError as why:
        return f"{TRIAL[0]}: {why.strerror}"
    try:
        async with asyncio.timeout(TRIAL_LIMIT):
            _, said = await process.communicate()
    except TimeoutError:
        return f"it has not started within {TRIAL_LIMIT:g} s"
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    if process.returncode == 0:
        return ""
    lines = said.decode(errors="replace").strip().splitlines() or [f"exit status {process.returncode}"]
    return lines[-1][:LONGEST]


def become(sockets: Sequence[tuple[str, int]]) -> NoReturn:
    """Does not return. ``sockets``: names and descriptors for the next one. Raises OSError."""
    for deadly in _DEADLY:
        signal.signal(deadly, signal.SIG_IGN)  # until the next one has handlers of its own
    environment = _initial_environment()
    high = FIRST_INHERITED + len(sockets)
    lifted = [fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, high) for _, number in sockets]
    for place, number in enumerate(lifted, FIRST_INHERITED):
        os.dup2(number, place)
    environment |= {
        b"LISTEN_PID": b"%d" % os.getpid(),
        b"LISTEN_FDS": b"%d" % len(sockets),
        b"LISTEN_FDNAMES": ":".join(name for name, _ in sockets).encode(),
    }
    os.execve(sys.executable, sys.orig_argv, environment)


def _initial_environment() -> dict[bytes, bytes]:
    """As it was handed to us: this process has since taken variables out that the next one needs."""
    entries = Path("/proc/self/environ").read_bytes().split(b"\0")
    pairs = (each.partition(b"=") for each in entries)
    return {name: value for name, equals, value in pairs if equals}
