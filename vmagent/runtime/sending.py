"""How much may lie between us and a peer on a Unix socket that a library has made.

Surprise:  the kernel gives such a socket 208 KB, and no way to inherit more: a message of 30 MB makes both
           sides wait for one another 150 times. gRPC has no option for it and shows no socket, so it is
           looked up among our own.
"""

import os
import socket
from pathlib import Path
from typing import Final

WANTED: Final = 4 * 1024 * 1024
"""Bytes. The kernel cuts them down to net.core.wmem_max, and counts its own overhead."""


def widen(path: Path) -> None:
    """Every connection that was made to our socket ``path``. What cannot be widened works as before."""
    for name in os.listdir("/proc/self/fd"):
        try:
            _widen(int(name), str(path))
        except OSError:
            continue  # no socket, or gone meanwhile


def _widen(number: int, path: str) -> None:
    handle = os.dup(number)
    try:
        with socket.socket(fileno=handle) as found:
            handle = -1
            if found.family == socket.AF_UNIX and found.getsockname() == path:
                found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, WANTED)
    finally:
        if handle >= 0:
            os.close(handle)
