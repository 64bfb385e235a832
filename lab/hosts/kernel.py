"""The few system calls that Python 3.11 has no function for.

Owns:      unshare, setns, mount, umount and sethostname, each raising OSError that names the path.
Does not:  know what a lab or a host is.
"""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

NEWNS: Final = 0x00020000
NEWUTS: Final = 0x04000000
NEWPID: Final = 0x20000000
NEWNET: Final = 0x40000000

RDONLY: Final = 1
REMOUNT: Final = 32
BIND: Final = 4096
REC: Final = 16384
PRIVATE: Final = 1 << 18

DETACH: Final = 2
"""umount: out of sight now, gone when the last user has left."""

OWN_NETWORK: Final = Path("/proc/thread-self/ns/net")

_libc: Final = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def unshare(flags: int) -> None:
    _check(_libc.unshare(flags), "unshare")


def setns(path: Path, kind: int) -> None:
    """Move the calling thread into the namespace that ``path`` stands for."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc.setns(handle, kind), str(path))
    finally:
        os.close(handle)


def mount(
    source: str, target: str, *, kind: str | None = None, flags: int = 0, options: str | None = None
) -> None:
    result = _libc.mount(
        source.encode(),
        target.encode(),
        kind.encode() if kind else None,
        ctypes.c_ulong(flags),
        options.encode() if options else None,
    )
    _check(result, target)


def umount(target: str) -> None:
    _check(_libc.umount2(target.encode(), DETACH), target)


def sethostname(name: str) -> None:
    encoded = name.encode()
    _check(_libc.sethostname(encoded, len(encoded)), name)


def private_mounts() -> None:
    """From here on this process mounts for itself alone, and keeps no other network alive: each copy of a
    mounted network namespace does, also after ``lab down`` of another lab.
    """
    unshare(NEWNS)
    mount("none", "/", flags=REC | PRIVATE)
    for line in reversed(Path("/proc/self/mountinfo").read_text().splitlines()):
        before, _, after = line.partition(" - ")
        if after.split()[0] == "nsfs":
            with suppress(FileNotFoundError):  # another mount lies over it
                umount(before.split()[4].encode().decode("unicode_escape"))


def new_network(path: Path) -> None:
    """A fresh network namespace that lives as long as ``path`` is mounted; ``ip netns`` knows it by that
    name.
    """
    path.touch(mode=0o444, exist_ok=False)
    home = os.open(OWN_NETWORK, os.O_RDONLY | os.O_CLOEXEC)
    try:
        unshare(NEWNET)
        mount(str(OWN_NETWORK), str(path), flags=BIND)
    finally:
        _check(_libc.setns(home, NEWNET), str(OWN_NETWORK))
        os.close(home)


@contextmanager
def inside_network(path: Path) -> Iterator[None]:
    """Sockets that this thread makes inside the block belong to the network of ``path``, and stay there."""
    home = os.open(OWN_NETWORK, os.O_RDONLY | os.O_CLOEXEC)
    try:
        setns(path, NEWNET)
        yield
    finally:
        _check(_libc.setns(home, NEWNET), str(OWN_NETWORK))
        os.close(home)
