"""One question on its way to the host's resolvers: whom to ask when, and which reply counts.

Owns:      retries, hedging and the choice between replies, as a value that is told the time.
Does not:  touch sockets or clocks (upstream.py performs what this says).

Like libc it keeps the order of resolv.conf, and takes SERVFAIL, REFUSED, NOTIMP and FORMERR as *ask the next
one*. Unlike libc it does not wait seconds for a dead server: after HEDGE the next one is asked too. A name
that exists wins at once; *no such name* from a later server waits up to HOLD for the earlier ones, since a
host may well have an internal resolver first and a public one behind it, and the public one is often faster
to say no.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from vmagent.dns.message import HEADER, Rcode

PATIENCE: Final = 0.9
"""Share of the client's timeout that we use: with glibc's 5 s we say SERVFAIL after 4.5 s, while it still
listens.
"""
ATTEMPTS: Final = 3
"""Tries per server when resolv.conf does not say. glibc makes two of 5 s; three of 1.5 s end earlier and
lose less.
"""
HEDGE: Final = 0.15
"""Seconds until the next server is asked beside the silent one: most recursive resolvers answer within."""
STREAM_HEDGE: Final = 0.5
"""The same over TCP, where a handshake comes first."""
HOLD: Final = 1.0
"""Seconds after the first question that a *no* waits for the servers before."""


class Kind(Enum):
    YES = "it exists"
    NO = "no such name, or nothing of this type"
    ERROR = "this server cannot help"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Seconds, all from the first question."""

    attempts: int
    spacing: float
    """Between two tries at one server."""
    hedge: float
    hold: float = HOLD

    @property
    def total(self) -> float:
        return self.attempts * self.spacing


class Progress(Enum):
    UNASKED = 0
    ASKED = 1
    ANSWERED = 2
    FAILED = 3


class Exchange:
    """``count`` servers in the order of preference, known by their position. ``now`` never goes back.

    After each call look at ``done``; then ask ``due`` for servers to be asked now, and come again at
    ``wake``.
    """

    def __init__(self, count: int, policy: Policy, now: float) -> None:
        self._policy = policy
        self._start = now
        self._plan = sorted(
            (now + attempt * policy.spacing + server * policy.hedge, server)
            for attempt in range(policy.attempts)
            for server in range(count)
        )
        self._next = 0
        self._progress = [Progress.UNASKED] * count
        self._asked_at = [now] * count
        self._no: dict[int, bytes] = {}
        self._error: bytes | None = None
        self.result: bytes | None = None
        """The reply to hand on; None with ``done``: nobody answered."""
        self.done = False

    def due(self, now: float) -> list[int]:
        """Servers to be asked now. One that failed or answered is not asked again."""
        if not self.done and now >= self._start + self._policy.total:
            self.give_up()
        self._settle(now)
        ask: list[int] = []
        while not self.done and self._next < len(self._plan):
            when, server = self._plan[self._next]
            if self._progress[server] in (Progress.UNASKED, Progress.ASKED):
                if when > now and Progress.ASKED in self._progress:
                    break
                if self._progress[server] is Progress.UNASKED:
                    self._progress[server] = Progress.ASKED
                    self._asked_at[server] = now
                ask.append(server)
            self._next += 1
        return ask

    def replied(self, server: int, packet: bytes, now: float) -> None:
        """``packet`` belongs to this question; that was checked."""
        kind = judge(packet)
        self._progress[server] = Progress.FAILED if kind is Kind.ERROR else Progress.ANSWERED
        if kind is Kind.YES:
            self._finish(packet)
        elif kind is Kind.NO:
            self._no[server] = packet
        else:
            self._error = self._error or packet
        self._settle(now)

    def failed(self, server: int, now: float) -> None:
        """It cannot be reached, or hung up."""
        self._progress[server] = Progress.FAILED
        self._settle(now)

    def give_up(self) -> None:
        """We stop. What a server said so far is better than nothing."""
        self._finish(self._best_no() or self._error)

    @property
    def wake(self) -> float:
        """When ``due`` has something new to say, if nothing happens before."""
        moments = [self._start + self._policy.total]
        if self._next < len(self._plan):
            moments.append(self._plan[self._next][0])
        if self._no:
            moments.append(self._start + self._policy.hold)
        return min(moments)

    @property
    def silent(self) -> dict[int, float]:
        """Servers that were asked and said nothing, with the time of the first question."""
        return {
            server: self._asked_at[server]
            for server, progress in enumerate(self._progress)
            if progress is Progress.ASKED
        }

    def _settle(self, now: float) -> None:
        if self.done:
            return
        if self._no:
            before = self._progress[: min(self._no)]
            if now >= self._start + self._policy.hold or Progress.ASKED not in before:
                self._finish(self._best_no())
        elif all(progress is Progress.FAILED for progress in self._progress):
            self._finish(self._error)

    def _best_no(self) -> bytes | None:
        return self._no[min(self._no)] if self._no else None

    def _finish(self, result: bytes | None) -> None:
        if not self.done:
            self.done, self.result = True, result


def judge(reply: bytes) -> Kind:
    """``reply`` has a whole header. A cut reply is a yes: the client will come again by TCP."""
    rcode, cut, answers = reply[3] & 15, reply[2] & 2, reply[6:8] != b"\0\0"
    if rcode in (Rcode.FORMERR, Rcode.SERVFAIL, Rcode.NOTIMP, Rcode.REFUSED):
        return Kind.ERROR
    return Kind.YES if cut or (rcode == Rcode.NOERROR and answers) else Kind.NO


def belongs(reply: bytes, *, ident: bytes, asked: bytes, question: bytes) -> bool:
    """Whether ``reply`` answers ``question`` of the request ``asked``, sent under ``ident``.

    Case may differ. An error may come without the question: some servers answer so to what they cannot read.
    """
    if len(reply) < HEADER or reply[:2] != ident or not reply[2] & 0x80 or (reply[2] ^ asked[2]) & 0x78:
        return False
    if reply[4:6] == b"\0\0":
        return judge(reply) is Kind.ERROR
    return reply[4:6] == b"\0\1" and reply[HEADER : HEADER + len(question)].lower() == question.lower()
