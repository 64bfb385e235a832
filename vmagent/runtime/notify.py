"""Tell systemd (sd_notify(3))."""

import logging
import socket

log = logging.getLogger("notify")

_unsent: dict[str, dict[str, str]] = {}
"""Address to what systemd there has not been told yet, by variable: only the newest value of each matters."""


def notify(state: str, *, address: str | None) -> None:
    """``address`` is $NOTIFY_SOCKET; without one (a shell, a container) this is silence.

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
            log.warning("systemd cannot be told (NOTIFY_SOCKET=%s): %s", address, why.strerror or why)
        _unsent[address] = said
    else:
        _unsent.pop(address, None)
