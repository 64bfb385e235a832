"""One type of resource: what is subscribed, held, asked of the control plane and given to Envoy.

Owns:      what a new stream on either side voids of that.
Does not:  decide anything (session.py); read bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from vmagent.xds import types
from vmagent.xds.held import Held
from vmagent.xds.resources import Piece
from vmagent.xds.wanted import Wanted

MOST_UNANSWERED: Final = 64
"""Responses of one type whose nonces are remembered. Envoy answers each before it reads the next; the answer
to one that was forgotten counts as none.
"""

MOST_USED: Final = 2 * MOST_UNANSWERED
"""Nonces that are not used again: Envoy may still answer to them."""


@dataclass(slots=True)
class Given:
    """A response that Envoy was sent. ``covers`` is the upstream nonce that its answer settles: empty for one
    of no live stream, None once it is answered. ``objection`` is what the agent itself rejects of it,
    whatever Envoy answers: the newest versions of the resources ``refused``, of no use to this Envoy.
    """

    covers: str | None
    generation: int
    version: str
    objection: str = ""
    refused: frozenset[str] = frozenset()


@dataclass(slots=True)
class Kind:
    url: str
    wanted: Wanted = field(default_factory=Wanted)
    held: Held = field(default_factory=Held)
    version: str = ""  # of the newest update
    accepted: str = ""  # of the last accepted update: survives reconnects
    arrived: bool = False  # an update came, although it may have been empty
    restored: bool = False  # it came from disk, and the control plane has not said anything since
    untidy: bool = False  # held is also what nobody wants now, because nobody could be asked for it again

    # The stream to the control plane.
    nonce: str = ""  # of the newest update
    settled: bool = True  # that update has its verdict
    begun: bool = False  # this stream was asked for the type
    claimed: frozenset[str] = frozenset()  # names that it was told are here already
    catching_up: bool = False  # it is yet to send for the first time what an earlier one did send
    stirred: bool = False  # when it did, something was different
    doubtful: frozenset[str] = frozenset()  # asked for while an update may have been on its way

    # Envoy's stream.
    subscribed: bool = False
    served: bool = False  # something was sent on it
    works: bool = False  # something was accepted on it
    answered: int = 0  # the generation that Envoy answered last
    nudged: int = 0  # the generation whose followers were sent once more
    fallback: str = ""  # nonce of the last good version, when that was sent
    given: dict[str, Given] = field(default_factory=dict)  # by nonce, oldest first
    used: dict[str, None] = field(default_factory=dict)  # the latest nonces, oldest first

    @property
    def whole(self) -> bool:
        """Whether a state-of-the-world response has all there are."""
        return self.url in types.WHOLE

    @property
    def unsure(self) -> bool:
        """What Envoy has of it is about to become what came from disk: nobody is told what that is."""
        return self.restored and bool(self.held.doubted)

    @property
    def offered(self) -> Mapping[str, Piece]:
        """What is held of what is wanted."""
        held = self.held.pieces
        if not self.untidy:
            return held
        return {name: piece for name, piece in held.items() if self.wanted.covers(name)}

    def tidy(self) -> None:
        """Forget what is not wanted; who wants nothing has no such type."""
        self.untidy = False
        if self.wanted:
            self.held.keep(self.wanted)
        else:
            self.held.forget()
            self.arrived, self.doubtful = False, frozenset()

    def upstream_opened(self) -> None:
        self.nonce, self.settled, self.doubtful = "", True, frozenset()
        self.begun, self.claimed = False, frozenset()
        self.catching_up, self.stirred = self.arrived, False
        for given in self.given.values():
            given.covers = None if given.covers is None else ""

    def envoy_gone(self) -> None:
        self.subscribed = self.served = self.works = False
        self.answered = self.nudged = 0
        self.fallback, self.given, self.used = "", {}, {}

    def gave(self, nonce: str, given: Given) -> None:
        self.served = True
        self.given[nonce] = given
        self.used[nonce] = None
        for remembered, most in ((self.given, MOST_UNANSWERED), (self.used, MOST_USED)):
            if len(remembered) > most:
                del remembered[next(iter(remembered))]

    def forget_before(self, nonce: str) -> None:
        """Envoy answers in order: what is older than this has had its answer, or went out in one with it.
        What was refused then is refused still, unless it has changed since.
        """
        given = self.given[nonce]
        while (oldest := next(iter(self.given))) != nonce:
            before = self.given.pop(oldest)
            still = frozenset(name for name in before.refused if self.held.changed(name) <= before.generation)
            if still and before.covers is not None:
                given.refused |= still
                given.objection = "; ".join(filter(None, (before.objection, given.objection)))
