"""The TCP side: questions behind a length, several per connection, answered as they become ready (RFC 7766).

Owns:      connections, their buffers and their patience.
Does not:  wait for anybody: a client that reads or writes slowly costs a place among MAX_CONNECTIONS,
           nothing else.
"""

import socket
from functools import partial
from typing import Final

from vmagent.dns.loop import GONE, READ, WRITE, Loop, Timer
from vmagent.dns.message import MOST
from vmagent.dns.resolvconf import Endpoint
from vmagent.dns.resolver import Resolver

MAX_CONNECTIONS: Final = 256
"""At once. The next one takes the place of the idle one that waits longest; without an idle one it is
refused.
"""
IDLE: Final = 10.0
"""Seconds without a whole question, or without taking a reply. Single bytes do not count: whoever sends one
now and then would stay for ever.
"""
PIPELINE: Final = 32
"""Questions of one connection under way; the next ones stay in the kernel's buffer."""
MOST_UNSENT: Final = 2 * MOST
"""Bytes of replies waiting for the client; beyond it no more of its questions are read."""
_CHUNK: Final = 16384
_QUESTIONS_PER_TURN: Final = 16
"""Of one connection, before the others have their turn."""
_SWEEP: Final = 1.0
"""Seconds between two looks for idle connections, while there are any."""
_REFUSED_PAUSE: Final = 0.2
"""Seconds without accepting after the kernel refused (no file descriptors left): the waiting client would
otherwise keep the loop spinning.
"""


class TcpPort:
    """All listening sockets and all connections."""

    def __init__(self, socks: list[socket.socket], loop: Loop, resolver: Resolver) -> None:
        self.loop = loop
        self.resolver = resolver
        self._listening = socks
        self._connections: set[Connection] = set()
        self._sweeper: Timer | None = None
        for sock in socks:
            loop.watch(sock, READ, partial(self._accept, sock))

    @property
    def busy(self) -> bool:
        """Somebody still waits for a reply."""
        return any(connection.busy for connection in self._connections)

    def pause(self) -> None:
        """Take no more connections and questions; replies can still be sent."""
        for sock in self._listening:
            self.loop.forget(sock)
        self._listening = []
        for connection in list(self._connections):
            connection.last_call()

    def close(self) -> None:
        self.pause()
        for connection in list(self._connections):
            connection.close()
        if self._sweeper is not None:
            self._sweeper.cancel()

    def gone(self, connection: "Connection") -> None:
        self._connections.discard(connection)

    def _accept(self, listening: socket.socket, events: int) -> None:
        try:
            sock, peer = listening.accept()
        except (BlockingIOError, ConnectionError):
            return
        except OSError:
            self.resolver.counters.overload += 1
            self.loop.change(listening, 0)
            self.loop.at(self.loop.now() + _REFUSED_PAUSE, lambda: self._accept_again(listening))
            return
        sock.setblocking(False)
        if len(self._connections) >= MAX_CONNECTIONS and not self._make_room():
            self.resolver.counters.overload += 1
            sock.close()
            return
        self._connections.add(Connection(self, sock, (peer[0], peer[1])))
        if self._sweeper is None:
            self._sweeper = self.loop.at(self.loop.now() + _SWEEP, self._sweep)

    def _accept_again(self, listening: socket.socket) -> None:
        if listening in self._listening:
            self.loop.change(listening, READ)

    def _make_room(self) -> bool:
        idle = [connection for connection in self._connections if not connection.busy]
        if idle:
            min(idle, key=lambda connection: connection.deadline).close()
        return bool(idle)

    def _sweep(self) -> None:
        now = self.loop.now()
        for connection in [one for one in self._connections if one.late(now)]:
            connection.close()
        self._sweeper = self.loop.at(now + _SWEEP, self._sweep) if self._connections else None


class Connection:
    def __init__(self, port: TcpPort, sock: socket.socket, peer: Endpoint) -> None:
        self._port = port
        self._loop = port.loop
        self._sock = sock
        self._peer = peer
        self._received = bytearray()
        self._unsent = bytearray()
        self._under_way = 0
        self._complete = False
        """The client has closed its side: what it asked is still answered."""
        self._closed = False
        self._settling = False
        self._events = READ
        self.deadline = self._loop.now() + IDLE
        self._loop.watch(sock, READ, self._ready)

    @property
    def busy(self) -> bool:
        return self._under_way > 0 or len(self._unsent) > 0

    def late(self, now: float) -> bool:
        """Nothing of ours is missing, and the client has been quiet for too long."""
        return not self._under_way and now >= self.deadline

    def last_call(self) -> None:
        """What was asked is answered, then the connection ends."""
        self._complete = True
        self._received.clear()
        self._settle()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._loop.forget(self._sock)
            self._port.gone(self)

    @property
    def _room(self) -> bool:
        return not self._closed and self._under_way < PIPELINE and len(self._unsent) < MOST_UNSENT

    def _ready(self, events: int) -> None:
        if events & GONE:
            self.close()
            return
        if events & READ and self._hungry:
            try:
                chunk = self._sock.recv(_CHUNK)
            except BlockingIOError:
                return
            except OSError:
                self.close()
                return
            self._received += chunk
            self._complete = not chunk
        self._settle()

    def _settle(self) -> None:
        """Take the questions that are whole and find room, send what can be sent, then wait for the right
        thing.
        """
        if self._settling or self._closed:
            return
        self._settling = True
        self._take()
        self._settling = False
        if self._closed:
            return
        if self._room and self._whole:
            self._loop.at(self._loop.now(), self._settle)
        elif self._complete and not self.busy:
            self.close()
            return
        events = (READ if self._hungry else 0) | (WRITE if self._unsent else 0)
        if events != self._events:
            self._events = events
            self._loop.change(self._sock, events)

    def _take(self) -> None:
        for _ in range(_QUESTIONS_PER_TURN):
            if not self._room or not self._whole:
                break
            end = 2 + int.from_bytes(self._received[:2], "big")
            packet = bytes(self._received[2:end])
            del self._received[:end]
            self.deadline = self._loop.now() + IDLE
            self._under_way += 1
            self._port.resolver.counters.requests += 1
            self._port.resolver.resolve(packet, self._peer, self._answered, stream=True)
        self._flush()

    @property
    def _hungry(self) -> bool:
        """More may be read: what has arrived so far is dealt with, so it never piles up."""
        return self._room and not self._complete and not self._whole

    @property
    def _whole(self) -> bool:
        """A whole question has arrived."""
        size = len(self._received)
        return size >= 2 and size >= 2 + int.from_bytes(self._received[:2], "big")

    def _answered(self, reply: bytes | None) -> None:
        self._under_way -= 1
        if self._closed:
            return
        if reply is None:  # it does not speak DNS
            self.close()
            return
        self.deadline = self._loop.now() + IDLE
        self._unsent += len(reply).to_bytes(2, "big") + reply
        self._settle()

    def _flush(self) -> None:
        if self._closed or not self._unsent:
            return
        try:
            del self._unsent[: self._sock.send(self._unsent)]
        except BlockingIOError:
            return
        except OSError:
            self.close()
