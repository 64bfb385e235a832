"""One ADS relay as a value: events in, commands out. No sockets, no clock, no tasks, no bytes of any protocol
variant.

Upstream is the control plane, downstream is one Envoy; either may come and go without the other noticing more
than it must. The agent opens upstream by itself (``own`` types), so the configuration is usually there before
Envoy asks. What the control plane sent is held per resource: an Envoy that restarts gets all of it at once,
although upstream only sent differences since.

Surprise: an update is acknowledged upstream only when Envoy has accepted it; without an Envoy it stays
pending. Nonces towards Envoy are our own: those of the control plane need only differ within one of its
streams, and Envoy's stream outlives several.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from vmagent.xds import types
from vmagent.xds.compatibility import Compatibility
from vmagent.xds.messages import (
    Ask,
    Command,
    EnvoyClosed,
    EnvoyOpened,
    Event,
    Give,
    Health,
    Request,
    Take,
    Update,
    UpstreamClosed,
    UpstreamOpened,
    Verdict,
)

MOST_UNANSWERED = 64
"""Responses of one type whose nonces are remembered. Envoy answers each before it reads the next; the answer
to one that was forgotten counts as none.
"""

EVERYTHING = "*"
"""As a name it says what no names at all say, too."""


@dataclass(slots=True)
class _Type:
    """What is known about one type URL."""

    asked: bool = False  # the control plane shall send this type
    names: frozenset[str] = frozenset()  # subscribed upstream; empty means all there are
    doubtful: frozenset[str] = frozenset()  # asked for while an update may have been on its way
    accepted: str = ""  # the version of the last accepted update: survives reconnects
    good: dict[str, bytes] | None = None  # what was held when an Envoy last accepted
    version: str = ""  # the version of the newest update
    held: dict[str, bytes] = field(default_factory=dict)
    arrived: bool = False  # an update came, although it may have been empty
    nonce: str = ""  # of the newest upstream update; dies with the upstream stream
    settled: bool = True  # that update has its verdict
    subscribed: bool = False  # by this Envoy stream
    works: bool = False  # this Envoy stream accepted something
    fallback: str = ""  # nonce of the last good version, when this Envoy stream was given it again
    given: dict[str, str | None] = field(default_factory=dict)
    """Nonces on this Envoy stream, oldest first, with the upstream nonce that an answer settles (empty: of no
    live stream). The newest stays once it is answered, as None: later requests repeat it.
    """
    objections: dict[str, str] = field(default_factory=dict)
    """What the agent itself rejects of those, by nonce: of no use to this Envoy, whatever it answers."""

    def wants(self, name: str) -> bool:
        return not self.names or name in self.names or EVERYTHING in self.names


class Session:
    """``wildcards`` are the types the agent subscribes to by itself, in this order, on every upstream
    stream.
    """

    def __init__(self, wildcards: tuple[str, ...]) -> None:
        self._types: dict[str, _Type] = {url: _Type(asked=True) for url in wildcards}
        self.compatibility = Compatibility.untold()
        """What the connected Envoy can load."""
        self._health: Health | None = None
        self._upstream = False
        self._serial = 0

    def on(self, event: Event) -> list[Command]:
        match event:
            case UpstreamOpened():
                return self._open_upstream()
            case UpstreamClosed():
                self._upstream = False
                return []
            case Update():
                return self._update(event)
            case EnvoyOpened() | EnvoyClosed():
                return self._forget_envoy()
            case Request():
                return self._request(event)
            case Verdict():
                return self._settle(event.type_url, event.nonce, event.error)
            case Health():
                self._health = event
                return self._report()

    @property
    def versions(self) -> dict[str, str]:
        """Type URL to the version last accepted."""
        return {url: state.accepted for url, state in self._types.items()}

    def arrived(self, type_url: str) -> bool:
        """Whether the control plane ever answered for this type."""
        return type_url in self._types and self._types[type_url].arrived

    # --- the control plane

    def _open_upstream(self) -> list[Command]:
        self._upstream = True
        asks: list[Command] = []
        for url, state in self._types.items():
            state.nonce, state.settled, state.doubtful = "", True, frozenset()
            state.given = {nonce: None if covers is None else "" for nonce, covers in state.given.items()}
            if state.asked:
                asks.append(Ask(url, state.names, state.accepted))
        return asks + self._report()

    def _update(self, update: Update) -> list[Command]:
        state = self._types.get(update.type_url)
        if state is None or not state.asked:
            return []  # nobody asked, or nobody does any more
        state.nonce, state.settled = update.nonce, False
        state.version, state.arrived = update.version, True
        if update.type_url in types.OWN:
            return [Take(update)]
        if state.doubtful & update.resources.keys():
            state.doubtful = frozenset()
        if update.type_url in types.WHOLE:
            state.held = dict(update.resources)
        else:
            state.held |= {name: value for name, value in update.resources.items() if state.wants(name)}
        if not state.subscribed:
            return []
        return [self._give(update.type_url, state, update.nonce, update.resources, update.raw)]

    def _settle(self, url: str, nonce: str, error: str) -> list[Command]:
        state = self._types[url]
        if not nonce or nonce != state.nonce or state.settled:
            return []  # of a dead stream, overtaken, or already answered
        state.settled = True
        if not error:
            state.accepted, state.doubtful = state.version, frozenset()
        return self._ask(Ask(url, state.names, state.accepted, nonce, error))

    def _report(self) -> list[Command]:
        return self._ask(Ask(types.HEALTH, error=self._health.error)) if self._health else []

    def _ask(self, ask: Ask) -> list[Command]:
        return [ask] if self._upstream else []

    # --- Envoy

    def _forget_envoy(self) -> list[Command]:
        self.compatibility = Compatibility.untold()
        for state in self._types.values():
            state.subscribed = state.works = False
            state.fallback, state.given, state.objections = "", {}, {}
        return []

    def _request(self, request: Request) -> list[Command]:
        if request.type_url in types.NEVER_ENVOYS:
            return []
        state = self._types.setdefault(request.type_url, _Type())
        if request.type_url in types.WHOLE:
            request = replace(request, names=frozenset())  # the agent holds all of them, however it is asked
        if not state.subscribed:
            state.subscribed = True
            return self._want(request, state) + self._give_held(request.type_url, state)
        if not request.nonce:
            return self._want(request, state)
        return self._answer(request, state) if request.nonce in state.given else []

    def _answer(self, request: Request, state: _Type) -> list[Command]:
        """Envoy answers in order: what is older than this has had its answer, or never gets one."""
        newest = next(reversed(state.given))
        while (oldest := next(iter(state.given))) != request.nonce:
            del state.given[oldest]
            state.objections.pop(oldest, None)
        covers, ours = state.given[request.nonce], state.objections.pop(request.nonce, "")
        if request.nonce != newest:  # overtaken: the next request says all that matters, but for an objection
            del state.given[request.nonce]
            error = request.error or ours
            objection = Ask(request.type_url, state.names, state.accepted, covers or "", error)
            return self._ask(objection) if covers and error else []
        if covers is None:  # a cluster that changed asks for its endpoints once more, and waits for them
            waits = request.type_url == types.ENDPOINT and request.names == state.names and not request.error
            again = self._give_held(request.type_url, state) if waits else []
            return self._want(request, state) + again
        state.given[newest] = None
        news = self._adopt(request, state)
        if request.error:
            return self._rejected(request, state, covers, news)
        state.works = True
        if newest != state.fallback:
            state.good = self._good(request.type_url, state)
            state.accepted = state.accepted if ours else state.version
        if ours:
            return self._objected(request.type_url, state, covers, ours, news)
        return self._settle(request.type_url, covers, "") or self._tell(request.type_url, state, news)

    def _rejected(self, request: Request, state: _Type, covers: str, news: bool) -> list[Command]:
        """An Envoy that has nothing yet gets what the last one accepted."""
        url = request.type_url
        commands = self._objected(url, state, covers, request.error, news)
        if not state.works and not state.fallback and state.good not in (None, state.held):
            fallback = self._give(url, state, "", state.good, version=state.accepted)
            state.fallback = fallback.nonce
            commands.append(fallback)
        return commands

    def _objected(self, url: str, state: _Type, covers: str, error: str, news: bool) -> list[Command]:
        """istiod takes no names from a rejection, so names it may not know follow in a request of their
        own.
        """
        return self._settle(url, covers, error) + self._tell(url, state, news or bool(state.doubtful))

    def _want(self, request: Request, state: _Type) -> list[Command]:
        """Tell upstream which names Envoy wants, if that is news to it."""
        return self._tell(request.type_url, state, self._adopt(request, state))

    def _tell(self, url: str, state: _Type, news: bool) -> list[Command]:
        return self._ask(Ask(url, state.names, state.accepted, state.nonce)) if news else []

    def _adopt(self, request: Request, state: _Type) -> bool:
        """Whether the names changed. What Envoy no longer wants is no longer held; who gives up the last name
        gives up the type.
        """
        if state.asked and request.names == state.names:
            return False
        first, added = not state.asked, request.names - state.names
        self.compatibility.forget(request.type_url, state.names - request.names)
        state.asked, state.names = first or bool(request.names), request.names
        state.doubtful = (state.doubtful | added) & request.names if state.nonce else frozenset()
        if not state.asked:
            state.held, state.good, state.arrived = {}, None, False
        elif request.type_url not in types.WHOLE:
            state.held = {name: value for name, value in state.held.items() if state.wants(name)}
            if state.good is not None:
                state.good = {name: value for name, value in state.good.items() if state.wants(name)}
        return True

    def _give_held(self, url: str, state: _Type) -> list[Command]:
        if not state.arrived or (state.names and not state.held):
            return []
        return [self._give(url, state, state.nonce, dict(state.held))]

    def _give(
        self,
        url: str,
        state: _Type,
        covers: str,
        resources: Mapping[str, bytes],
        raw: bytes = b"",
        version: str | None = None,
    ) -> Give:
        self._serial += 1
        nonce = str(self._serial)
        state.given[nonce] = covers
        if len(state.given) > MOST_UNANSWERED:
            oldest = next(iter(state.given))
            del state.given[oldest]
            state.objections.pop(oldest, None)
        give = Give(url, state.version if version is None else version, nonce, resources, raw)
        return self._adapted(give, state)

    def _adapted(self, give: Give, state: _Type) -> Give:
        """As this Envoy can load it."""
        adapted = self.compatibility.adapt(
            give.type_url, give.resources, state.good or {}, whole=give.type_url in types.WHOLE
        )
        if adapted.resources is give.resources:
            return give
        if adapted.refused:
            state.objections[give.nonce] = adapted.objection
        return replace(give, resources=adapted.resources, raw=b"", refused=adapted.refused)

    def _good(self, url: str, state: _Type) -> dict[str, bytes]:
        """What Envoy has now: what is held, but for the resources that were kept from it."""
        good = dict(state.held)
        for name in self.compatibility.account.refused_of(url):
            last = (state.good or {}).get(name)
            if last is None:
                good.pop(name, None)
            elif name in good:
                good[name] = last
        return good
