"""The account between the two streams: what each answer from Envoy settles towards the control plane.

Owns:      the kinds, the subscriptions as the control plane knows them, and the nonces towards Envoy.
Does not:  know in which variant Envoy speaks (envoys.py); take in updates (session.py).
"""

from dataclasses import replace

from vmagent.xds.asks import Asks, SotwAsks
from vmagent.xds.compatibility import Compatibility
from vmagent.xds.gives import Content
from vmagent.xds.kind import Given, Kind
from vmagent.xds.messages import Ask, Command, DeltaAsk, Give
from vmagent.xds.resources import Resources
from vmagent.xds.wanted import Wanted


class Exchange:
    def __init__(self, wildcards: tuple[str, ...]) -> None:
        self.kinds: dict[str, Kind] = {url: Kind(url, Wanted(everything=True)) for url in wildcards}
        self.asks: Asks = SotwAsks()
        self.upstream = False
        """Whether a stream to the control plane is open."""
        self.compatibility = Compatibility.untold()
        """What the connected Envoy can load."""
        self._serial = 0

    def open_upstream(self, asks: Asks) -> list[Command]:
        self.asks, self.upstream = asks, True
        for kind in self.kinds.values():
            if kind.untidy and not kind.restored:
                kind.tidy()
            kind.upstream_opened()
        return [asks.first(kind) for kind in self.kinds.values() if kind.wanted]

    def ask(self, message: Ask | DeltaAsk | None) -> list[Command]:
        return [message] if message is not None and self.upstream else []

    def adopt(self, kind: Kind, wanted: Wanted) -> Wanted | None:
        """What was wanted before; None if that is the same. What Envoy no longer wants is no longer held, as
        long as it could be had again; who gives up the last name gives up the type.
        """
        before = kind.wanted
        if wanted == before:
            return None
        self.compatibility.forget(kind.url, before.names - wanted.names)
        kind.wanted = wanted
        if kind.nonce and not self.asks.delta:
            kind.doubtful = (kind.doubtful | (wanted.names - before.names)) & wanted.names
        if not wanted or (not wanted.everything and (before.everything or not before.names <= wanted.names)):
            if self.away(kind):
                kind.untidy = True
            else:
                kind.tidy()
        return before

    def away(self, kind: Kind) -> bool:
        """Whether nobody would send again what is forgotten now."""
        return not self.upstream or kind.restored

    def tell(self, kind: Kind, before: Wanted | None) -> list[Command]:
        """Tell upstream what is wanted, if that is news to it."""
        return [] if before is None else self.ask(self.asks.changed(kind, before))

    def settle(self, kind: Kind, covers: str, error: str = "") -> list[Command]:
        """Pass the verdict on the update with the upstream nonce ``covers`` on: empty is one of a dead
        stream.
        """
        if not covers:
            return []
        if covers == kind.nonce:
            if kind.settled:
                return []
            kind.settled = True
            if not error:
                kind.doubtful = frozenset()
        elif not error and not self.asks.delta:
            return []  # overtaken: the acceptance of the newest says all that matters
        return self.ask(self.asks.answer(kind, covers, error))

    def accept(self, kind: Kind, given: Given, since: int) -> None:
        """Envoy accepted what it was ``given``, and before that what changed up to ``since``."""
        kind.works = True
        kind.accepted = kind.accepted if given.objection else given.version
        kind.held.accept(since, given.generation, but=given.refused)

    def give(
        self, kind: Kind, covers: str, content: Content, *, delta: bool, version: str | None = None
    ) -> Give:
        """``content`` as this Envoy can load it. What passes as it came keeps its nonce, which is in it."""
        raw = content.raw if covers and covers not in kind.used else b""
        nonce = covers if raw else self._new_nonce(kind)
        said = kind.version if version is None else version
        versions = Resources.plain(content.resources).versions if delta else {}
        give = Give(kind.url, said, nonce, content.resources, raw, content.removed, versions, delta)
        given = Given(covers, kind.held.generation, said)
        kind.gave(nonce, given)
        return self._adapted(kind, give, given)

    def _adapted(self, kind: Kind, give: Give, given: Given) -> Give:
        """A response is taken apart only where something of it is refused, or was."""
        self.compatibility.forget(kind.url, give.removed)
        refused_before = self.compatibility.account.refused_of(kind.url)
        if give.raw and isinstance(give.resources, Resources) and not refused_before:
            data = bytes(give.raw)
            rewritten = self.compatibility.response(kind.url, data, delta=give.delta)
            if rewritten is data:
                return give
            if rewritten is not None:
                return replace(give, raw=rewritten, resources=give.resources.rewritten(rewritten))
        good = Resources(lambda: kind.held.good)
        whole = kind.whole and not give.delta
        adapted = self.compatibility.adapt(kind.url, give.resources, good, whole=whole)
        if adapted.resources is give.resources:
            return give
        given.objection, given.refused = adapted.objection, frozenset(adapted.refused)
        news = {name: why for name, why in adapted.refused.items() if refused_before.get(name) != why}
        return replace(give, resources=adapted.resources, raw=b"", refused=news)

    def _new_nonce(self, kind: Kind) -> str:
        while True:
            self._serial += 1
            if (nonce := str(self._serial)) not in kind.used:
                return nonce
