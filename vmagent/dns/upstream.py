"""Asking the host's resolvers: sockets and timers around exchange.py.

Owns:      everything that is under way to a resolver, and the bound on how much that may be.
Does not:  read resolv.conf (resolvconf.py), choose between replies (exchange.py).

Every question has sockets of its own: the kernel draws a random port for each, takes only what the asked
server sends, and reports a refused port at once. They belong to the agent's user, whose traffic capture lets
pass.
"""

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from vmagent.dns.attempt import Attempt, Ears, StreamAttempt, UdpAttempt
from vmagent.dns.counters import Counters
from vmagent.dns.exchange import (
    ATTEMPTS,
    HEDGE,
    HOLD,
    PATIENCE,
    STREAM_HEDGE,
    Exchange,
    Policy,
    belongs,
)
from vmagent.dns.loop import Loop, Timer
from vmagent.dns.message import Opcode, Query
from vmagent.dns.preference import Preference
from vmagent.dns.resolvconf import Endpoint, ResolvConf, Server

log = logging.getLogger("dns")

MAX_IN_FLIGHT: Final = 512
"""Questions under way at once. Beyond it SERVFAIL at once: a resolver retries, a queue only grows. Each
holds up to three sockets, so the unit's LimitNOFILE must be well above 1536; where it is not, the attempt
fails, not the agent.
"""

Done = Callable[[bytes | None], None]
"""Gets the reply, with the client's id, or None: nobody answered. Called exactly once per question."""


@dataclass(frozen=True, slots=True)
class Route:
    """Whom to ask, in this order, and how patiently."""

    servers: tuple[Server, ...]
    policy: Policy
    stream: bool


class Forwarder:
    def __init__(self, loop: Loop, counters: Counters, *, timeout: float, parallel: bool) -> None:
        self.loop = loop
        self.counters = counters
        self._timeout = timeout
        self._parallel = parallel
        self._preference = Preference()
        self.draw = random.SystemRandom()
        self._flights: set[Flight] = set()
        self._probes: dict[Server, tuple[Attempt, Timer]] = {}
        self._own_sockets: set[Endpoint] = set()

    @property
    def in_flight(self) -> int:
        return len(self._flights)

    def is_own(self, source: Endpoint) -> bool:
        """Whether a request that came from ``source`` is a question of ours: then something sends us our own
        traffic.
        """
        return source in self._own_sockets

    def forward(self, query: Query, conf: ResolvConf, *, stream: bool, done: Done) -> None:
        """``conf``: servers that may be asked; without any, nobody answers."""
        if not conf.servers or len(self._flights) >= MAX_IN_FLIGHT:
            self.counters.overload += bool(conf.servers)
            self.counters.upstream_failures += not conf.servers
            done(None)
            return
        self.counters.upstream_requests += 1
        servers = self._preference.order(conf.servers, self.loop.now(), rotate=conf.rotate)
        route = Route(servers, self._policy(query, conf, stream=stream), stream)
        flight = Flight(self, query, route, done)
        self._flights.add(flight)
        flight.go_on()

    def abandon(self) -> None:
        """Nobody answers what is under way."""
        for flight in list(self._flights):
            flight.abandon()
        for attempt, timer in self._probes.values():
            timer.cancel()
            attempt.close()
        self._probes.clear()

    def _policy(self, query: Query, conf: ResolvConf, *, stream: bool) -> Policy:
        total = self._timeout * PATIENCE
        if query.opcode != Opcode.QUERY:
            # An update is for the server that the client meant, which is the first; asking twice could do it
            # twice.
            return Policy(attempts=1, spacing=total, hedge=total / len(conf.servers), hold=0)
        hedge, hold = (0.0, 0.0) if self._parallel else (STREAM_HEDGE if stream else HEDGE, HOLD)
        if stream:
            return Policy(attempts=1, spacing=total, hedge=hedge, hold=hold)
        attempts = conf.attempts or ATTEMPTS
        spacing = min(conf.timeout or total, total / attempts)
        return Policy(attempts=attempts, spacing=spacing, hedge=hedge, hold=hold)

    # What a flight tells us ---------------------------------------------------------------------------------

    def open(self, server: Server, packet: bytes, ears: Ears, *, stream: bool) -> Attempt:
        kind = StreamAttempt if stream else UdpAttempt
        return kind(self.loop, server, packet, ears, self._own_sockets)

    def landed(self, flight: "Flight") -> None:
        self._flights.discard(flight)
        self.counters.upstream_seconds.observe(self.loop.now() - flight.started)
        self.counters.upstream_failures += flight.exchange.result is None

    def heard(self, server: Server) -> None:
        self._preference.heard(server)

    def silent(self, server: Server, attempt: Attempt, ears: Ears, asked_at: float) -> None:
        """``server`` lost a race. One socket per server stays open until HOLD has passed, to tell slow from
        dead: a slow resolver keeps its place, a dead one goes to the back for a while.
        """
        if asked_at + HOLD <= self.loop.now():
            self._preference.silent(server, self.loop.now())
        elif server not in self._probes and isinstance(attempt, UdpAttempt):
            timer = self.loop.at(asked_at + HOLD, lambda: self._probe_over(server, heard=False))
            self._probes[server] = attempt, timer
            attempt.hand_over(
                replace(
                    ears,
                    reply=lambda packet: self._probe_over(server, heard=True),
                    broken=lambda: self._probe_over(server, heard=False),
                )
            )
            return
        attempt.close()

    def _probe_over(self, server: Server, *, heard: bool) -> None:
        attempt, timer = self._probes.pop(server)
        timer.cancel()
        attempt.close()
        if heard:
            self._preference.heard(server)
        else:
            self._preference.silent(server, self.loop.now())


class Flight:
    """One question under way."""

    def __init__(self, forwarder: Forwarder, query: Query, route: Route, done: Done) -> None:
        self._forwarder = forwarder
        self._loop = forwarder.loop
        self._query = query
        self._route = route
        self._done = done
        self._ident = forwarder.draw.randbytes(2)
        self._attempts: dict[int, tuple[Attempt, Ears]] = {}
        self._sent = 0
        self._timer: Timer | None = None
        self.started = self._loop.now()
        self.exchange = Exchange(len(route.servers), route.policy, self.started)

    def go_on(self) -> None:
        """Do what is due, until there is nothing to do but wait."""
        if self._timer is not None:
            self._timer.cancel()
        while due := self.exchange.due(self._loop.now()):
            for server in due:
                self._ask(server)
        if self.exchange.done:
            self._land()
        else:
            self._timer = self._loop.at(self.exchange.wake, self.go_on)

    def abandon(self) -> None:
        self.exchange.give_up()
        self._land()

    def _ask(self, server: int) -> None:
        self._forwarder.counters.upstream_retries += self._sent > 0
        self._sent += 1
        try:
            if server not in self._attempts:
                self._attempts[server] = self._open(server)
            self._attempts[server][0].send()
        except OSError as error:
            log.debug("resolver %s: %s", self._route.servers[server], error)
            self._fail(server)

    def _open(self, server: int) -> tuple[Attempt, Ears]:
        ears = Ears(
            belongs=self._belongs,
            reply=lambda packet: self._replied(server, packet),
            broken=lambda: self._broken(server),
            stray=self._stray,
        )
        packet = self._ident + self._query.packet[2:]
        opened = self._forwarder.open(self._route.servers[server], packet, ears, stream=self._route.stream)
        return opened, ears

    def _belongs(self, packet: bytes) -> bool:
        query = self._query
        return belongs(packet, ident=self._ident, asked=query.packet, question=query.question)

    def _stray(self) -> None:
        self._forwarder.counters.strays += 1

    def _replied(self, server: int, packet: bytes) -> None:
        self._forwarder.heard(self._route.servers[server])
        self._close(server)
        self.exchange.replied(server, packet, self._loop.now())
        self.go_on()

    def _broken(self, server: int) -> None:
        self._fail(server)
        self.go_on()

    def _fail(self, server: int) -> None:
        self._close(server)
        self.exchange.failed(server, self._loop.now())

    def _close(self, server: int) -> None:
        attempt = self._attempts.pop(server, None)
        if attempt is not None:
            attempt[0].close()

    def _land(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        silent = self.exchange.silent
        for server, (attempt, ears) in self._attempts.items():
            if server in silent:
                self._forwarder.silent(self._route.servers[server], attempt, ears, silent[server])
            else:
                attempt.close()
        self._attempts.clear()
        self._forwarder.landed(self)
        result = self.exchange.result
        self._done(self._query.packet[:2] + result[2:] if result is not None else None)
