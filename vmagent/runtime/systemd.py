"""What systemd tells a service about itself, and what the service tells systemd (sd_notify(3)).

Owns:      the meaning of NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID, JOURNAL_STREAM and LISTEN_*; the sockets
           that systemd keeps for the next process of the unit. Standard library only: the capture process
           uses it.
Does not:  read the environment; decide when a service is started or alive (watchdog.py).
"""

import contextlib
import logging
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

log = logging.getLogger("systemd")

Tell = Callable[[str], None]
"""Takes lines ``VARIABLE=value``, as sd_notify(3) has them."""

FIRST_INHERITED: Final = 3
"""The lowest descriptor that is handed over (SD_LISTEN_FDS_START)."""

_unsent: dict[str, dict[str, str]] = {}
"""Address to what systemd there has not been told yet, by variable: only the newest value of each matters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Systemd:
    """Empty where no systemd started us: a shell, a container."""

    notify_socket: str = ""
    watchdog: float = 0.0
    """Seconds of silence after which systemd ends us (WatchdogSec= of the unit); 0: it does not."""
    inherited: tuple[tuple[str, int], ...] = ()
    """Names and descriptors that an earlier process of the unit left with systemd, or passed on itself."""
    journal_stream: str = ""
    """Device and inode of the stream to the journal: whether one of ours is it, journal.py sees."""

    @classmethod
    def of(cls, environ: Mapping[str, str], pid: int) -> Self:
        return cls(
            notify_socket=environ.get("NOTIFY_SOCKET", ""),
            watchdog=_watchdog(environ, pid),
            inherited=_inherited(environ, pid),
            journal_stream=environ.get("JOURNAL_STREAM", ""),
        )

    def tell(self, state: str) -> None:
        notify(state, address=self.notify_socket)

    def close_inherited(self) -> None:
        """Whoever wants one of them has a copy by now."""
        for _, number in self.inherited:
            with contextlib.suppress(OSError):  # not even open: said by a shell and not by systemd
                os.close(number)

    def keep(self, name: str, descriptors: Sequence[int]) -> None:
        """systemd holds them open until the unit has stopped, and hands them to the unit's next process
        (FileDescriptorStoreMax=). Replaces what it has under that name; without descriptors it has nothing
        any more.
        """
        if self.notify_socket:
            _hand(self.notify_socket, f"FDSTOREREMOVE=1\nFDNAME={name}")
            if descriptors:
                _hand(self.notify_socket, f"FDSTORE=1\nFDNAME={name}\nFDPOLL=0", descriptors)


OUTSIDE: Final = Systemd()
"""Of no unit: nobody is told anything."""


def notify(state: str, *, address: str) -> None:
    """``address`` is $NOTIFY_SOCKET; without one this is silence.

    Never waits and never fails: what cannot be said now (a socket that is away or full) is said with the next
    call, so that READY=1 is not lost. The log says so once.
    """
    if not address:
        return
    said = _unsent.get(address, {}) | dict(line.split("=", 1) for line in state.splitlines())
    try:
        with _connected(address) as sock:
            sock.send("\n".join(f"{name}={value}" for name, value in said.items()).encode())
    except OSError as why:
        if address not in _unsent:
            reason = os.strerror(why.errno) if why.errno else str(why)
            log.warning("systemd cannot be told (NOTIFY_SOCKET=%s): %s", address, reason)
        _unsent[address] = said
    else:
        _unsent.pop(address, None)


def _hand(address: str, state: str, descriptors: Sequence[int] = ()) -> None:
    try:
        with _connected(address) as sock:
            if descriptors:
                socket.send_fds(sock, [state.encode()], list(descriptors))
            else:
                sock.send(state.encode())
    except OSError as why:
        log.warning("systemd keeps no sockets for a restart (NOTIFY_SOCKET=%s): %s", address, why)


def _connected(address: str) -> socket.socket:
    """Raises OSError."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        sock.connect("\0" + address[1:] if address.startswith("@") else address)
    except BaseException:
        sock.close()
        raise
    return sock


def _inherited(environ: Mapping[str, str], pid: int) -> tuple[tuple[str, int], ...]:
    """As sd_listen_fds_with_names(3): meant for this very process, or not for us."""
    count = environ.get("LISTEN_FDS", "")
    if environ.get("LISTEN_PID") != str(pid) or not (count.isascii() and count.isdigit()):
        return ()
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    names += [""] * (int(count) - len(names))
    return tuple((name, FIRST_INHERITED + place) for place, name in enumerate(names[: int(count)]))


def _watchdog(environ: Mapping[str, str], pid: int) -> float:
    """As sd_watchdog_enabled(3): meant for this very process, or for nobody in particular."""
    meant, length = environ.get("WATCHDOG_PID", str(pid)), environ.get("WATCHDOG_USEC", "")
    if meant != str(pid) or not (length.isascii() and length.isdigit()):
        return 0.0
    return int(length) / 1e6
