"""Envoy's stream in each variant: what its requests mean, and what it is given when it comes.

Owns:      which of its answers counts for what, and what an Envoy that rejects everything falls back to.
Does not:  talk to the control plane (exchange.py).
Surprise:  an incremental Envoy answers a response with clusters only once these are warm, and a cluster that
           changed is warm only when its endpoints have come once more. Who has them must send them.
"""

from collections.abc import Iterable, Mapping

from vmagent.xds import types
from vmagent.xds.exchange import Exchange
from vmagent.xds.gives import Content
from vmagent.xds.kind import Given, Kind
from vmagent.xds.messages import Command, DeltaRequest, Request
from vmagent.xds.resources import Resources
from vmagent.xds.wanted import EVERYTHING, Wanted


class SotwEnvoy:
    """Each request names all that is wanted, and may be an answer as well."""

    delta = False

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def on(self, kind: Kind, request: Request) -> list[Command]:
        if not kind.subscribed:
            kind.subscribed = True
            before = self._adopt(kind, request.names, first=True)
            return self._exchange.tell(kind, before) + self._everything(kind)
        if not request.nonce:
            return self._want(kind, request)
        return self._answer(kind, request) if request.nonce in kind.given else []

    def quiet(self) -> list[Command]:
        return []

    def _adopt(self, kind: Kind, names: frozenset[str], *, first: bool = False) -> Wanted | None:
        if kind.whole:
            wanted = Wanted(everything=True)  # the agent holds all of them, however it is asked
        elif not names and not first and not kind.wanted.everything:
            wanted = Wanted()  # it named some before, and now none
        else:
            wanted = Wanted.of(names)
        return self._exchange.adopt(kind, wanted)

    def _want(self, kind: Kind, request: Request) -> list[Command]:
        before = self._adopt(kind, request.names)
        return self._exchange.tell(kind, before) + self._from_stock(kind, before)

    def _from_stock(self, kind: Kind, before: Wanted | None) -> list[Command]:
        """Names that it wants beside those of ``before`` while nobody can be asked: what is held of them."""
        if before is None or before.everything or not self._exchange.away(kind):
            return []
        fresh = {name: piece for name, piece in kind.offered.items() if name not in before.names}
        if not fresh:
            return []
        return [self._exchange.give(kind, "", Content(Resources.of(fresh)), delta=False)]

    def _everything(self, kind: Kind) -> list[Command]:
        if not kind.arrived or not (kind.wanted.everything or kind.offered):
            return []
        content = Content(Resources.of(kind.offered))
        return [self._exchange.give(kind, kind.nonce, content, delta=False)]

    def _answer(self, kind: Kind, request: Request) -> list[Command]:
        """The newest stays once it is answered: later requests repeat it."""
        kind.forget_before(request.nonce)
        given = kind.given[request.nonce]
        if given.covers is None:
            return self._asked_again(kind, request)
        if len(kind.given) > 1:  # overtaken: the next request says all that matters, but for an objection
            del kind.given[request.nonce]
            self._judged(kind, request, given)
            error = request.error or given.objection
            return self._exchange.settle(kind, given.covers, error) if error else []
        covers, given.covers = given.covers, None
        before = self._adopt(kind, request.names)
        self._judged(kind, request, given)
        if request.error:
            return self._rejected(kind, request, covers, before)
        if given.objection:
            return self._objected(kind, covers, given.objection, before)
        return self._answered(kind, covers, before)

    def _judged(self, kind: Kind, request: Request, given: Given) -> None:
        """What Envoy accepts is good; what it rejects, or was not given, is not made so by a later answer."""
        since, kind.answered = kind.answered, given.generation
        if request.error:
            return
        if request.nonce == kind.fallback:
            kind.works = True
        else:
            self._exchange.accept(kind, given, since)

    def _asked_again(self, kind: Kind, request: Request) -> list[Command]:
        """Other names, or the same endpoints for a cluster that changed: Envoy keeps it warming until they
        come, and a control plane with nothing new to say gives none. What is held is given, unless something
        newer is on its way.
        """
        before = self._adopt(kind, request.names)
        waits = kind.url == types.ENDPOINT and before is None and not request.error
        if not waits or len(kind.given) > 1 or not kind.offered:
            return self._exchange.tell(kind, before) + self._from_stock(kind, before)
        return [self._exchange.give(kind, "", Content(Resources.of(kind.offered)), delta=False)]

    def _answered(self, kind: Kind, covers: str, before: Wanted | None) -> list[Command]:
        settled = self._exchange.settle(kind, covers)
        if settled and not self._exchange.asks.delta:
            return settled  # the acknowledgement has the names
        return settled + self._exchange.tell(kind, before) + self._from_stock(kind, before)

    def _objected(self, kind: Kind, covers: str, error: str, before: Wanted | None) -> list[Command]:
        """istiod takes no names from a rejection, so names it may not know follow in a request of their
        own.
        """
        if before is None and kind.doubtful and not self._exchange.asks.delta:
            before = Wanted()
        return self._exchange.settle(kind, covers, error) + self._exchange.tell(kind, before)

    def _rejected(self, kind: Kind, request: Request, covers: str, before: Wanted | None) -> list[Command]:
        """An Envoy that has nothing yet gets what the last one accepted."""
        commands = self._objected(kind, covers, request.error, before)
        if kind.works or kind.fallback or not kind.held.proven or not kind.held.doubted:
            return commands
        content = Content(Resources.of(kind.held.good))
        give = self._exchange.give(kind, "", content, delta=False, version=kind.accepted)
        kind.fallback = give.nonce
        return [*commands, give]


class DeltaEnvoy:
    """A request names what is wanted in addition and no more, or is an answer, or both."""

    delta = True

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def on(self, kind: Kind, request: DeltaRequest) -> list[Command]:
        commands = self._answer(kind, request) if request.nonce in kind.given else []
        if not kind.subscribed:
            kind.subscribed = True
            wanted = Wanted.of(request.subscribe)
            if EVERYTHING in request.unsubscribe:  # how a client says that it wants nothing yet
                wanted = Wanted(False, wanted.names)
            return commands + self._want(kind, wanted) + self._everything(kind, request.versions)
        if request.subscribe or request.unsubscribe:
            wanted = kind.wanted.changed(request.subscribe, request.unsubscribe)
            commands += self._want(kind, wanted) + self._named(kind, request.subscribe)
        return commands

    def quiet(self) -> list[Command]:
        """Endpoints once more, for clusters whose acknowledgement is late: they wait for them."""
        clusters, endpoints = (self._exchange.kinds.get(url) for url in (types.CLUSTER, types.ENDPOINT))
        if clusters is None or endpoints is None or not clusters.given or not endpoints.subscribed:
            return []
        if clusters.nudged == clusters.held.generation:
            return []
        clusters.nudged = clusters.held.generation
        return self._give(endpoints, clusters.held.doubted)

    def _want(self, kind: Kind, wanted: Wanted) -> list[Command]:
        if kind.whole:
            wanted = Wanted(True, wanted.names)  # the agent holds all of them, however it is asked
        return self._exchange.tell(kind, self._exchange.adopt(kind, wanted))

    def _everything(self, kind: Kind, known: Mapping[str, str]) -> list[Command]:
        """All that is held, but for clusters and listeners that Envoy has in this very version. Endpoints are
        sent always: a cluster may be waiting for them.
        """
        if not kind.arrived:
            return []
        pieces = {
            name: piece
            for name, piece in kind.offered.items()
            if not (kind.whole and piece.version and known.get(name) == piece.version)
        }
        removed = kind.held.gone | (
            known.keys() - kind.held.pieces.keys() if kind.wanted.everything else set()
        )
        if not pieces and not removed and not kind.wanted.everything:
            return []
        content = Content(Resources.of(pieces), frozenset(removed))
        return [self._exchange.give(kind, kind.nonce, content, delta=True)]

    def _named(self, kind: Kind, names: frozenset[str]) -> list[Command]:
        """Who subscribes shall be answered, although the control plane was asked long ago."""
        wanted = kind.held.pieces if EVERYTHING in names else names
        return self._give(kind, wanted, kind.held.gone & names)

    def _give(self, kind: Kind, names: Iterable[str], gone: Iterable[str] = ()) -> list[Command]:
        """Those of ``names`` that are held."""
        held = kind.held.pieces
        content = Content(Resources.of({name: held[name] for name in names if name in held}), frozenset(gone))
        if not content.resources and not content.removed:
            return []
        return [self._exchange.give(kind, "", content, delta=True)]

    def _answer(self, kind: Kind, request: DeltaRequest) -> list[Command]:
        kind.forget_before(request.nonce)
        given = kind.given.pop(request.nonce)
        since, kind.answered = kind.answered, given.generation
        if not request.error:
            if request.nonce == kind.fallback:
                kind.works = True
            else:
                self._exchange.accept(kind, given, since)
        settled = self._exchange.settle(kind, given.covers or "", request.error or given.objection)
        return settled + self._fall_back(kind) if request.error else settled

    def _fall_back(self, kind: Kind) -> list[Command]:
        """An Envoy that has nothing yet gets what the last one accepted, in place of what it rejected."""
        if kind.works or kind.fallback or not kind.held.proven:
            return []
        good = {name: piece for name, piece in kind.held.doubted.items() if piece is not None}
        if not good:
            return []
        give = self._exchange.give(kind, "", Content(Resources.of(good)), delta=True, version=kind.accepted)
        kind.fallback = give.nonce
        return [give]
