"""The DNS thread: everything between the sockets, in one loop.

Owns:      the life of that loop, from the first question to the last reply.
Does not:  know asyncio (server.py does). Three things may be touched from outside: ``resolver.table``, the
           counters (reading), and ``stop``.
"""

from collections.abc import Callable
from typing import Final

from vmagent.dns.config import DnsConfig
from vmagent.dns.counters import Counters
from vmagent.dns.loop import Loop
from vmagent.dns.resolvconf import ResolvConfFile
from vmagent.dns.resolver import Resolver
from vmagent.dns.sockets import Listening
from vmagent.dns.tcp import TcpPort
from vmagent.dns.udp import UdpPort
from vmagent.dns.upstream import Forwarder
from vmagent.runtime.watchdog import Pulse

LAST_ANSWERS: Final = 1.0
"""Seconds that questions under way may still take when we stop; then they are answered with SERVFAIL."""


class Service:
    def __init__(
        self, config: DnsConfig, sockets: Listening, counters: Counters, now: Callable[[], float]
    ) -> None:
        self._sockets = sockets
        self._loop = Loop(now)
        self._forwarder = Forwarder(
            self._loop, counters, timeout=config.forward_timeout, parallel=config.parallel
        )
        file = ResolvConfFile(config.resolv_conf, port=config.resolver_port)
        self.resolver = Resolver(self._forwarder, file, frozenset(sockets.endpoints))
        self._stopping = False

    def stop(self) -> None:
        """From any thread, any number of times: answer what is under way, then let ``serve`` return."""
        self._stopping = True
        self._loop.wake()

    def serve(self, ready: Callable[[], None], pulse: Pulse) -> None:
        """Blocks until ``stop``. ``ready`` is called when questions are answered."""
        try:
            pulse.begin(self._loop.wake)
            self._serve(ready, pulse)
        finally:
            pulse.end()
            self._sockets.close()
            self._loop.close()

    def _serve(self, ready: Callable[[], None], pulse: Pulse) -> None:
        udp = [UdpPort(sock, self._loop, self.resolver) for sock in self._sockets.udp]
        tcp = TcpPort(self._sockets.tcp, self._loop, self.resolver)
        ready()
        while not self._stopping:
            self._loop.turn()
            pulse.answer()
        pulse.end()
        for port in udp:
            port.pause()
        tcp.pause()
        end = self._loop.now() + LAST_ANSWERS
        self._loop.at(end, lambda: None)
        while (self._forwarder.in_flight or tcp.busy) and self._loop.now() < end:
            self._loop.turn()
        self._forwarder.abandon()
        tcp.close()
        for port in udp:
            port.close()
