"""The sockets that clients reach us by: opened before anything runs, so that a taken port is a refusal to
start.

Owns:      what ``localhost`` means, and the sentence that says who has the port; which sockets of a
           predecessor are those that are wanted. Questions that arrived while nobody ran wait in them.
Does not:  read from them (udp.py, tcp.py); know who kept them meanwhile (runtime/systemd.py).
"""

import contextlib
import errno
import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from vmagent.config.model import Address
from vmagent.dns.resolvconf import Endpoint
from vmagent.errors import Misconfigured
from vmagent.runtime import holder

KEY: Final = "DNS_PROXY_ADDR"
_BURST: Final = 1 << 20
"""Bytes of unread questions the kernel may keep per socket (it caps this at net.core.rmem_max)."""
_BACKLOG: Final = 128
_SAME_PORT_TRIES: Final = 16
"""For port 0: how often to look for a number that is free for UDP and TCP."""
_NO_IPV6: Final = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


@dataclass(frozen=True, slots=True)
class Listening:
    udp: list[socket.socket]
    tcp: list[socket.socket]

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        return tuple((name[0], name[1]) for name in (sock.getsockname() for sock in self.udp))

    @property
    def descriptors(self) -> tuple[int, ...]:
        return tuple(sock.fileno() for sock in (*self.udp, *self.tcp))

    def close(self) -> None:
        for sock in (*self.udp, *self.tcp):
            sock.close()


class _Left:
    """Sockets of a predecessor that nobody has claimed yet."""

    def __init__(self, descriptors: Sequence[int]) -> None:
        self._sockets = [found for number in descriptors if (found := _socket(number))]

    def claim(self, host: str, port: int, kind: socket.SocketKind) -> socket.socket | None:
        for sock in self._sockets:
            if (sock.type, *sock.getsockname()[:2]) == (kind, host, port):
                self._sockets.remove(sock)
                return sock
        return None

    def close(self) -> None:
        for sock in self._sockets:
            sock.close()


def _socket(number: int) -> socket.socket | None:
    """None for what is no internet socket, or not open at all."""
    try:
        sock = socket.socket(fileno=number)
    except OSError:
        return None
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        sock.detach()
        return None
    sock.set_inheritable(False)
    sock.setblocking(False)
    return sock


def listen(address: Address, inherited: Sequence[int] = ()) -> Listening:
    """Raises Misconfigured. ``localhost`` is 127.0.0.1, and ::1 where the host has IPv6: always both, since
    the resolvers that decide which of them is needed may change while we run.

    ``inherited``: descriptors of a predecessor; those that are not wanted any more are closed.
    """
    opened, left = Listening([], []), _Left(inherited)
    with contextlib.ExitStack() as undo, contextlib.closing(left):
        undo.callback(opened.close)
        port = address.port
        for host in ("127.0.0.1", "::1") if address.host == "localhost" else (address.host,):
            try:
                udp, tcp = _pair(host, port, left)
            except OSError as error:
                if host == "::1" and opened.udp and error.errno in _NO_IPV6:
                    continue
                raise _refusal(address, host, error) from None
            opened.udp.append(udp)
            opened.tcp.append(tcp)
            port = udp.getsockname()[1]
        undo.pop_all()
    return opened


def _pair(host: str, port: int, left: _Left) -> tuple[socket.socket, socket.socket]:
    for attempt in range(_SAME_PORT_TRIES):
        tcp = left.claim(host, port, socket.SOCK_STREAM) or _bound(host, port, socket.SOCK_STREAM)
        try:
            number = tcp.getsockname()[1]
            udp = left.claim(host, number, socket.SOCK_DGRAM) or _bound(host, number, socket.SOCK_DGRAM)
        except OSError:
            tcp.close()
            if port or attempt == _SAME_PORT_TRIES - 1:
                raise
            continue
        tcp.listen(_BACKLOG)
        return udp, tcp
    raise AssertionError("the last try returns or raises")


def _bound(host: str, port: int, kind: socket.SocketKind) -> socket.socket:
    try:
        family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
    except ValueError:
        raise OSError(errno.EINVAL, "neither an IP address nor localhost") from None
    sock = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if kind == socket.SOCK_STREAM:
            # Connections of a predecessor in TIME_WAIT are no reason to refuse; for UDP the option would let
            # two agents share the port.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BURST)
        sock.bind((host, port))
        if kind == socket.SOCK_STREAM:
            sock.listen(_BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock


def _refusal(address: Address, host: str, error: OSError) -> Misconfigured:
    said = f"{KEY} = {address}: cannot listen on {host} port {address.port}"
    match error.errno:
        case errno.EADDRINUSE:
            who = holder.holder(address.port)
            return Misconfigured(
                f"{said}: {who} has it",
                hint=f"stop it, or give {KEY} in /var/lib/istio/envoy/cluster.env another address",
            )
        case errno.EACCES:
            return Misconfigured(
                f"{said}: ports below 1024 need CAP_NET_BIND_SERVICE",
                hint=f"leave {KEY} out: queries are redirected to localhost:15053",
            )
        case errno.EADDRNOTAVAIL:
            return Misconfigured(f"{said}: this host has no such address", hint=f"correct or leave out {KEY}")
    return Misconfigured(f"{said}: {error.strerror}", hint=f"correct or leave out {KEY}")
