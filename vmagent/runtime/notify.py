"""Tell systemd (sd_notify(3))."""

import socket


def notify(state: str, *, address: str | None) -> None:
    """``address`` is $NOTIFY_SOCKET; without one (a shell, a container) this is silence."""
    if not address:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        sock.connect("\0" + address[1:] if address.startswith("@") else address)
        sock.sendall(state.encode())
