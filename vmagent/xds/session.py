"""One ADS relay as a value: events in, commands out. No sockets, no clock, no tasks, no bytes of any protocol
variant.

Upstream is the control plane, downstream is one Envoy; either may come and go without the other noticing more
than it must. Each may speak state of the world or incrementally, whatever the other does: what the control
plane sent is held per resource (held.py), and each is told in its own way (asks.py; gives.py, envoys.py). The
agent opens upstream by itself (``wildcards``), so the configuration is usually there before Envoy asks,
and an Envoy that restarts gets all of it at once, although upstream only sent differences since.

Surprise: an update is acknowledged upstream only when Envoy has accepted it; without an Envoy it stays
pending. Nonces towards Envoy are our own: those of the control plane need only differ within one of its
streams, and Envoy's stream outlives several.
"""

from collections.abc import Iterable

from vmagent.xds import types
from vmagent.xds.asks import DeltaAsks, SotwAsks
from vmagent.xds.compatibility import Compatibility
from vmagent.xds.envoys import DeltaEnvoy, SotwEnvoy
from vmagent.xds.exchange import Exchange
from vmagent.xds.gives import Content, take_in
from vmagent.xds.held import Held
from vmagent.xds.kind import Kind
from vmagent.xds.lastgood.content import Section
from vmagent.xds.messages import (
    Ask,
    Command,
    DeltaAsk,
    DeltaRequest,
    EnvoyClosed,
    EnvoyOpened,
    Event,
    Health,
    Quiet,
    Request,
    Restored,
    Take,
    Update,
    UpstreamClosed,
    UpstreamOpened,
    Verdict,
)
from vmagent.xds.restoring import put_back, settled, taken, wanting


class Session:
    """``wildcards`` are the types the agent subscribes to by itself, in this order, on every upstream
    stream.
    """

    def __init__(self, wildcards: tuple[str, ...]) -> None:
        self._wildcards = wildcards
        self._exchange = Exchange(wildcards)
        self._kinds = self._exchange.kinds
        self._envoy: SotwEnvoy | DeltaEnvoy = SotwEnvoy(self._exchange)
        self._health: Health | None = None

    def on(self, event: Event) -> list[Command]:
        match event:
            case UpstreamOpened():
                asks = DeltaAsks() if event.delta else SotwAsks()
                return self._exchange.open_upstream(asks) + self._report()
            case UpstreamClosed():
                self._exchange.upstream = False
                return []
            case Update():
                return self._update(event)
            case EnvoyOpened():
                self._forget_envoy()
                self._envoy = DeltaEnvoy(self._exchange) if event.delta else SotwEnvoy(self._exchange)
                return []
            case EnvoyClosed():
                self._forget_envoy()
                return []
            case Request() | DeltaRequest():
                return self._request(event)
            case Verdict():
                return self._judged(event)
            case Health():
                self._health = event
                return self._report()
            case Quiet():
                return self._envoy.quiet()
            case Restored():
                return put_back(self._exchange, event.sections, delta=self._envoy.delta)

    @property
    def compatibility(self) -> Compatibility:
        """What the connected Envoy can load."""
        return self._exchange.compatibility

    @compatibility.setter
    def compatibility(self, told: Compatibility) -> None:
        self._exchange.compatibility = told

    @property
    def versions(self) -> dict[str, str]:
        """Type URL to the version last accepted."""
        return {url: kind.accepted for url, kind in self._kinds.items()}

    @property
    def held(self) -> Iterable[Held]:
        """What is kept, for whoever tidies it up."""
        return [kind.held for kind in self._kinds.values()]

    @property
    def picture(self) -> tuple[Section, ...]:
        """What Envoy accepted last of everything, for the next start; empty while that is not whole."""
        return taken(self._exchange, self._wildcards)

    @property
    def restored(self) -> bool:
        """Whether something of it is still what the last run left."""
        return any(kind.restored and kind.wanted for kind in self._kinds.values())

    @property
    def settled(self) -> bool:
        """Whether Envoy has accepted something of everything: it needs nothing more to start."""
        return settled(self._exchange, self._wildcards)

    @property
    def wanting(self) -> bool:
        """Whether somebody here waits for what nobody has said, and what was kept may help."""
        return wanting(self._exchange, self._wildcards)

    def arrived(self, type_url: str) -> bool:
        """Whether the control plane ever answered for this type."""
        return type_url in self._kinds and self._kinds[type_url].arrived

    def _update(self, update: Update) -> list[Command]:
        kind = self._kinds.get(update.type_url)
        if kind is None:
            return []  # nobody asked
        if not kind.wanted:  # nobody does any more; who asks next has to name the newest nonce
            kind.nonce, kind.settled = update.nonce, True
            return []
        if kind.doubtful and kind.doubtful & update.resources.keys():
            kind.doubtful = frozenset()
        kind.nonce, kind.settled = update.nonce, False
        kind.version, kind.arrived, kind.restored = update.version, True, False
        if kind.untidy:
            kind.tidy()
        content = take_in(
            kind,
            update,
            incrementally=self._envoy.delta,
            spare=kind.served and self._envoy.delta and self._leader_is_still(kind),
        )
        kind.stirred = kind.stirred or (kind.catching_up and content is not None)
        kind.catching_up = False
        if update.type_url in types.OWN:
            return [Take(update)]
        if not kind.subscribed:
            return []
        if content is None and kind.served:
            return self._exchange.settle(kind, update.nonce)
        return [self._exchange.give(kind, update.nonce, content or Content(), delta=self._envoy.delta)]

    def _leader_is_still(self, kind: Kind) -> bool:
        """Whether what this type waits for has come after the reconnect, and was the same as before."""
        leader = self._kinds.get(types.LEADERS.get(kind.url, ""))
        return leader is None or not (leader.catching_up or leader.stirred)

    def _judged(self, verdict: Verdict) -> list[Command]:
        kind = self._kinds[verdict.type_url]
        if not verdict.error and verdict.nonce == kind.nonce:
            kind.accepted = kind.version
            kind.held.accept(0, kind.held.generation)
        return self._exchange.settle(kind, verdict.nonce, verdict.error)

    def _report(self) -> list[Command]:
        if self._health is None:
            return []
        ask = DeltaAsk if self._exchange.asks.delta else Ask
        return self._exchange.ask(ask(types.HEALTH, error=self._health.error))

    def _forget_envoy(self) -> None:
        self.compatibility = Compatibility.untold()
        for kind in self._kinds.values():
            kind.envoy_gone()

    def _request(self, request: Request | DeltaRequest) -> list[Command]:
        if request.type_url in types.NEVER_ENVOYS:
            return []
        kind = self._kinds.setdefault(request.type_url, Kind(request.type_url))
        match self._envoy, request:
            case SotwEnvoy() as envoy, Request():
                return envoy.on(kind, request)
            case DeltaEnvoy() as envoy, DeltaRequest():
                return envoy.on(kind, request)
        raise AssertionError(f"{request} on a stream of the other variant")
