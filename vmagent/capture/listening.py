"""In which families Envoy listens for what is captured: a redirect to where nobody listens is a refusal.

Owns:      reading that from the kernel's tables, and trying whether it still takes connections.
Surprise:  Envoy's own settings do not tell. An istiod without ISTIO_DUAL_STACK sends listeners of IPv4 to a
           machine that asked for both; and a machine without an IPv4 address that counts, but with Docker's,
           has an Envoy of IPv6 alone.
"""

import contextlib
import socket
from pathlib import Path
from typing import Final

from vmagent.capture.rule import Family

_TABLES: Final[dict[Family, str]] = {"ipv4": "tcp", "ipv6": "tcp6"}
_LISTENING: Final = "0A"

AGAIN: Final = 10.0
"""Seconds until the same move is told again."""

CONNECT: Final = 0.5
"""Seconds for Envoy to accept on loopback: the kernel accepts for a process that merely is slow."""


def families(port: int, directory: Path = Path("/proc/net")) -> frozenset[Family]:
    """Empty: nobody listens there. A socket of both families counts as IPv6; Envoy opens none."""
    return frozenset(family for family, table in _TABLES.items() if _listens(directory / table, port))


class Followed:
    """In which families Envoy listened when the rules were written, and whether they are others now."""

    def __init__(self, families: frozenset[Family]) -> None:
        self._written = families
        self._not_before = 0.0

    def write(self, families: frozenset[Family]) -> None:
        self._written = families

    def moved(self, port: int, now: float) -> bool:
        """Once in a while, should it stay so: what follows may have failed. An Envoy that listens nowhere is
        none that moved.
        """
        if now < self._not_before or families(port) in (frozenset(), self._written):
            return False
        self._not_before = now + AGAIN
        return True


def accepts(port: int) -> bool:
    """In one of the families: a machine may have either alone."""
    for host in ("127.0.0.1", "::1"):
        with contextlib.suppress(OSError):
            socket.create_connection((host, port), CONNECT).close()
            return True
    return False


def _listens(table: Path, port: int) -> bool:
    """The kernel puts sockets that listen first: of a hundred thousand connections none is read."""
    wanted = f":{port:04X}"
    if not table.exists():
        return False
    with table.open() as lines:
        next(lines, "")
        for line in lines:
            _, local, _, state = line.split(maxsplit=4)[:4]
            if state != _LISTENING:
                return False
            if local.endswith(wanted):
                return True
    return False
