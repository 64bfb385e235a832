"""One question to one resolver: one socket, over UDP or TCP.

Owns:      the socket, from opening to closing.
Does not:  retry, wait or choose (exchange.py); judge whether a reply belongs to the question (it is handed
           ``Ears``).
"""

import errno
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from vmagent.dns.loop import READ, WRITE, Loop
from vmagent.dns.message import MOST
from vmagent.dns.resolvconf import Endpoint, Server

_DATAGRAMS_PER_TURN: Final = 8
_buffer = bytearray(MOST)
"""Shared by all UDP sockets of the one thread: a reply may be as long as its sender likes, whatever EDNS
said.
"""


@dataclass(frozen=True, slots=True)
class Ears:
    """Who hears what happens on the socket. After ``broken``, or ``close``, nothing more is heard."""

    belongs: Callable[[bytes], bool]
    reply: Callable[[bytes], None]
    broken: Callable[[], None]
    stray: Callable[[], None]


class Attempt(Protocol):
    """Opening and sending raise OSError if the kernel knows already that it is in vain."""

    def send(self) -> None: ...
    def close(self) -> None: ...


class UdpAttempt:
    """``send`` again is a retry: same socket, same packet."""

    def __init__(self, loop: Loop, server: Server, packet: bytes, ears: Ears, own: set[Endpoint]) -> None:
        self._loop, self._packet, self._ears, self._own = loop, packet, ears, own
        self._sock, self._local = _open(server, socket.SOCK_DGRAM, own)
        loop.watch(self._sock, READ, self._ready)

    def send(self) -> None:
        self._sock.send(self._packet)

    def hand_over(self, ears: Ears) -> None:
        """Somebody else listens from now on."""
        self._ears = ears

    def close(self) -> None:
        self._own.discard(self._local)
        self._loop.forget(self._sock)

    def _ready(self, events: int) -> None:
        for _ in range(_DATAGRAMS_PER_TURN):
            try:
                size = self._sock.recv_into(_buffer)
            except BlockingIOError:
                return
            except OSError:  # an ICMP error: nobody listens there, or there is no way
                self._ears.broken()
                return
            packet = bytes(_buffer[:size])
            if self._ears.belongs(packet):
                self._ears.reply(packet)
                return
            self._ears.stray()


class StreamAttempt:
    """Connects, asks once, reads one reply."""

    def __init__(self, loop: Loop, server: Server, packet: bytes, ears: Ears, own: set[Endpoint]) -> None:
        self._loop, self._ears, self._own = loop, ears, own
        self._unsent = memoryview(len(packet).to_bytes(2, "big") + packet)
        self._received = bytearray()
        self._sock, self._local = _open(server, socket.SOCK_STREAM, own)
        loop.watch(self._sock, WRITE, self._ready)

    def send(self) -> None:
        """Goes out when the connection is there."""

    def close(self) -> None:
        self._own.discard(self._local)
        self._loop.forget(self._sock)

    def _ready(self, events: int) -> None:
        try:
            if self._unsent:
                self._unsent = self._unsent[self._sock.send(self._unsent) :]
                if not self._unsent:
                    self._loop.change(self._sock, READ)
                return
            chunk = self._sock.recv(MOST + 2)
        except BlockingIOError:
            return
        except OSError:
            self._ears.broken()
            return
        self._received += chunk
        whole = 2 + int.from_bytes(self._received[:2], "big")
        if len(self._received) >= max(3, whole):
            packet = bytes(self._received[2:whole])
            if self._ears.belongs(packet):
                self._ears.reply(packet)
            else:
                self._ears.stray()
                self._ears.broken()
        elif not chunk:
            self._ears.broken()


def _open(server: Server, kind: socket.SocketKind, own: set[Endpoint]) -> tuple[socket.socket, Endpoint]:
    sock = socket.socket(server.family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    error = sock.connect_ex(server.address)
    if error not in (0, errno.EINPROGRESS):
        sock.close()
        raise OSError(error, f"connecting to {server}")
    name = sock.getsockname()
    local = name[0], name[1]
    own.add(local)
    return sock, local
