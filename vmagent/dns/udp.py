"""The UDP side: one socket, many short questions."""

import socket
from typing import Final

from vmagent.dns.loop import READ, Loop
from vmagent.dns.resolver import Resolver

_REQUEST: Final = 4096
"""Bytes of a request that are read. No sound one is longer; a longer one is cut and then malformed."""
_BATCH: Final = 64
"""Requests per turn: saves waits under load, and lets the other sockets have their turn."""


class UdpPort:
    def __init__(self, sock: socket.socket, loop: Loop, resolver: Resolver) -> None:
        self._sock = sock
        self._loop = loop
        self._resolver = resolver
        loop.watch(sock, READ, self.ready)

    def ready(self, events: int) -> None:
        """Answer what waits, at most a batch."""
        receive, send, fast = self._sock.recvfrom, self._sock.sendto, self._resolver.table.fast
        counters = self._resolver.counters
        seen = known = 0
        for _ in range(_BATCH):
            try:
                packet, peer = receive(_REQUEST)
            except OSError:  # empty, or a network error that concerns a reply of before
                break
            seen += 1
            reply = fast(packet)
            if reply is None:
                self._long_way(packet, peer)
                continue
            known += 1
            try:
                send(reply, peer)
            except OSError:
                counters.unsent += 1
        counters.requests += seen
        counters.from_table += known

    def pause(self) -> None:
        """Take no more; replies can still be sent."""
        self.ready(READ)
        self._loop.change(self._sock, 0)

    def close(self) -> None:
        self._loop.forget(self._sock)

    def _long_way(self, packet: bytes, peer: tuple[str, int]) -> None:
        def send(reply: bytes | None) -> None:
            if reply is None:
                return
            try:
                self._sock.sendto(reply, peer)
            except OSError:
                self._resolver.counters.unsent += 1

        self._resolver.resolve(packet, (peer[0], peer[1]), send, stream=False)
