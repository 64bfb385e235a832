"""What systemd tells a service about itself, and what the service tells systemd (sd_notify(3)).

Owns:      the meaning of NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID and JOURNAL_STREAM. Standard library
           only: the capture process uses it.
Does not:  read the environment; decide when a service is started or alive (watchdog.py).
"""

import logging
import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

log = logging.getLogger("systemd")

Tell = Callable[[str], None]
"""Takes lines ``VARIABLE=value``, as sd_notify(3) has them."""

_unsent: dict[str, dict[str, str]] = {}
"""Address to what systemd there has not been told yet, by variable: only the newest value of each matters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Systemd:
    """Empty where no systemd started us: a shell, a container."""

    notify_socket: str = ""
    watchdog: float = 0.0
    """Seconds of silence after which systemd ends us (WatchdogSec= of the unit); 0: it does not."""
    journal_stream: str = ""
    """Device and inode of the stream to the journal: whether one of ours is it, journal.py sees."""

    @classmethod
    def of(cls, environ: Mapping[str, str], pid: int) -> Self:
        return cls(
            notify_socket=environ.get("NOTIFY_SOCKET", ""),
            watchdog=_watchdog(environ, pid),
            journal_stream=environ.get("JOURNAL_STREAM", ""),
        )

    def tell(self, state: str) -> None:
        notify(state, address=self.notify_socket)


def silence(state: str) -> None:
    """There is no systemd to tell."""


def notify(state: str, *, address: str) -> None:
    """``address`` is $NOTIFY_SOCKET; without one this is silence.

    Never waits and never fails: what cannot be said now (a socket that is away or full) is said with the next
    call, so that READY=1 is not lost. The log says so once.
    """
    if not address:
        return
    said = _unsent.get(address, {}) | dict(line.split("=", 1) for line in state.splitlines())
    kind = socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
    try:
        with socket.socket(socket.AF_UNIX, kind) as sock:
            sock.connect("\0" + address[1:] if address.startswith("@") else address)
            sock.send("\n".join(f"{name}={value}" for name, value in said.items()).encode())
    except OSError as why:
        if address not in _unsent:
            reason = os.strerror(why.errno) if why.errno else str(why)
            log.warning("systemd cannot be told (NOTIFY_SOCKET=%s): %s", address, reason)
        _unsent[address] = said
    else:
        _unsent.pop(address, None)


def _watchdog(environ: Mapping[str, str], pid: int) -> float:
    """As sd_watchdog_enabled(3): meant for this very process, or for nobody in particular."""
    meant, length = environ.get("WATCHDOG_PID", str(pid)), environ.get("WATCHDOG_USEC", "")
    if meant != str(pid) or not (length.isascii() and length.isdigit()):
        return 0.0
    return int(length) / 1e6
