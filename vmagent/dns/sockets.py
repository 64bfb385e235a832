"""The sockets that clients reach us by: opened before anything runs, so that a taken port is a refusal to
start.

Owns:      what ``localhost`` means, and the sentence that says who has the port.
Does not:  read from them (udp.py, tcp.py). Room is left for sockets handed over by a predecessor.
"""

import contextlib
import errno
import ipaddress
import socket
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

    def close(self) -> None:
        for sock in (*self.udp, *self.tcp):
            sock.close()


def listen(address: Address) -> Listening:
    """Raises Misconfigured. ``localhost`` is 127.0.0.1, and ::1 where the host has IPv6: always both, since
    the resolvers that decide which of them is needed may change while we run.
    """
    opened = Listening([], [])
    with contextlib.ExitStack() as undo:
        undo.callback(opened.close)
        port = address.port
        for host in ("127.0.0.1", "::1") if address.host == "localhost" else (address.host,):
            try:
                udp, tcp = _pair(host, port)
            except OSError as error:
                if host == "::1" and opened.udp and error.errno in _NO_IPV6:
                    continue
                raise _refusal(address, host, error) from None
            opened.udp.append(udp)
            opened.tcp.append(tcp)
            port = udp.getsockname()[1]
        undo.pop_all()
    return opened


def _pair(host: str, port: int) -> tuple[socket.socket, socket.socket]:
    for attempt in range(_SAME_PORT_TRIES):
        tcp = _bound(host, port, socket.SOCK_STREAM)
        try:
            udp = _bound(host, tcp.getsockname()[1], socket.SOCK_DGRAM)
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
