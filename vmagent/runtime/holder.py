"""Who has a port, as /proc tells. For one sentence in an error message, so it never fails."""

import asyncio
import contextlib
import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from vmagent.errors import Misconfigured

_TABLES: Final = ("udp", "udp6", "tcp", "tcp6")
_WAITING: Final = ("07", "0A")
"""States of a bound UDP socket and of a listening TCP socket."""


def holder(port: int, proc: Path = Path("/proc")) -> str:
    """``pid 4711 (dnsmasq)`` if we may look, else the user, else ``another process``."""
    inodes = dict(_sockets(port, proc))
    for link in _links(proc):
        with contextlib.suppress(OSError):
            if os.readlink(link).removeprefix("socket:[").removesuffix("]") in inodes:
                process = link.parent.parent
                name = (process / "comm").read_text(errors="replace").strip()
                return f"pid {process.name} ({name})"
    for user in inodes.values():
        return f"a process of user {_name(user)}"
    return "another process"


def taken(port: int, key: str) -> Misconfigured:
    """The sentence for a TCP port that somebody else listens on; ``key`` is the setting that chose it."""
    return Misconfigured(
        f"port {port} ({key}): {holder(port)} has it",
        hint=f"stop that (as root, `ss -ltnp 'sport = :{port}'` shows it), or set another port in {key}",
    )


async def found(port: int) -> str:
    """``holder``, for an event loop that has other things to do."""
    return await asyncio.to_thread(holder, port)


def _sockets(port: int, proc: Path) -> Iterator[tuple[str, str]]:
    """(inode, uid) of the sockets on ``port``, on whatever address."""
    for table in _TABLES:
        with contextlib.suppress(OSError):
            for line in (proc / "net" / table).read_text().splitlines()[1:]:
                words = line.split()
                if len(words) > 9 and words[3] in _WAITING and int(words[1].rpartition(":")[2], 16) == port:
                    yield words[9], words[7]


def _links(proc: Path) -> Iterator[Path]:
    for process in proc.iterdir():
        if process.name.isdecimal():
            with contextlib.suppress(OSError):  # gone meanwhile, or another user's
                yield from (process / "fd").iterdir()


def _name(uid: str) -> str:
    try:
        return pwd.getpwuid(int(uid)).pw_name
    except KeyError:
        return uid
