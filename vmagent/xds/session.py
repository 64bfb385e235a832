"""One ADS relay as a value: events in, commands out. No sockets, no clock, no tasks, no bytes of any protocol
variant.

Upstream is the control plane, downstream is one Envoy; either may come and go without the other noticing more
than it must. The agent opens upstream by itself (``own`` types), so the configuration is usually there before
Envoy asks. What the control plane sent is held per resource: an Envoy that restarts gets all of it at once,
although upstream only sent differences since.

Surprise: an update is acknowledged upstream only when Envoy has accepted it; without an Envoy it stays
pending.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from vmagent.xds import types

# Events


@dataclass(frozen=True, slots=True)
class UpstreamOpened:
    """A new stream to the control plane: everything on the old one is void."""


@dataclass(frozen=True, slots=True)
class UpstreamClosed:
    """The stream to the control plane ended: nothing can be asked until the next one opens."""


@dataclass(frozen=True, slots=True)
class Update:
    """The control plane sent resources: ``name -> serialized message``. ``raw`` is the response as
    received.
    """

    type_url: str
    version: str
    nonce: str
    resources: Mapping[str, bytes]
    raw: bytes = b""


@dataclass(frozen=True, slots=True)
class EnvoyOpened:
    """Envoy opened a stream: it knows nothing yet, whatever an earlier one knew."""


@dataclass(frozen=True, slots=True)
class EnvoyClosed:
    """No Envoy is connected: updates are held for the next one."""


@dataclass(frozen=True, slots=True)
class Request:
    """Envoy subscribes, accepts (``nonce``) or rejects (``nonce`` and ``error``)."""

    type_url: str
    names: frozenset[str] = frozenset()
    nonce: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The agent itself has looked at an update of one of its own types; ``error`` empty means accepted."""

    type_url: str
    nonce: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class Health:
    """The application's health changed; ``error`` empty means healthy."""

    error: str = ""


Event = UpstreamOpened | UpstreamClosed | Update | EnvoyOpened | EnvoyClosed | Request | Verdict | Health


# Commands


@dataclass(frozen=True, slots=True)
class Ask:
    """Send to the control plane: a subscription, an acknowledgement, a rejection or the health report."""

    type_url: str
    names: frozenset[str] = frozenset()
    version: str = ""
    nonce: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Give:
    """Send to Envoy. ``raw`` holds the bytes to pass on when the update goes through as it came."""

    type_url: str
    version: str
    nonce: str
    resources: Mapping[str, bytes]
    raw: bytes = b""


@dataclass(frozen=True, slots=True)
class Take:
    """An update of one of the agent's own types; answer with a ``Verdict``."""

    update: Update


Command = Ask | Give | Take


@dataclass(slots=True)
class _Type:
    """What is known about one type URL."""

    names: frozenset[str] = frozenset()  # subscribed upstream; empty means all of a wildcard type
    accepted: str = ""  # the version of the last accepted update: survives reconnects
    version: str = ""  # the version of the newest update
    held: dict[str, bytes] = field(default_factory=dict)
    arrived: bool = False  # an update came, although it may have been empty
    nonce: str = ""  # of the newest upstream update; dies with the upstream stream
    settled: bool = True  # that update has its verdict
    subscribed: bool = False  # by this Envoy stream
    given: str = ""  # nonce of the newest response on this Envoy stream
    covers: str = ""  # the upstream nonce that a verdict on ``given`` speaks for


class Session:
    """``wildcards`` are the types the agent subscribes to by itself, in this order, on every upstream
    stream.
    """

    def __init__(self, wildcards: tuple[str, ...]) -> None:
        self._wildcards = wildcards
        self._types: dict[str, _Type] = {url: _Type() for url in wildcards}
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

    def _open_upstream(self) -> list[Command]:
        self._upstream = True
        asks: list[Command] = []
        for url, state in self._types.items():
            state.nonce, state.settled, state.covers = "", True, ""
            if state.names or url in self._wildcards:
                asks.append(Ask(url, state.names, state.accepted))
        return asks + self._report()

    def _update(self, update: Update) -> list[Command]:
        state = self._types.setdefault(update.type_url, _Type())
        state.nonce, state.settled = update.nonce, False
        state.version, state.arrived = update.version, True
        if update.type_url in types.OWN:
            return [Take(update)]
        if update.type_url in types.WHOLE:
            state.held = dict(update.resources)
        else:
            state.held.update(update.resources)
        if not state.subscribed:
            return []
        state.given = state.covers = update.nonce
        return [Give(update.type_url, update.version, update.nonce, update.resources, update.raw)]

    def _forget_envoy(self) -> list[Command]:
        for state in self._types.values():
            state.subscribed, state.given, state.covers = False, "", ""
        return []

    def _request(self, request: Request) -> list[Command]:
        state = self._types.setdefault(request.type_url, _Type())
        if request.type_url in types.OWN or request.nonce not in ("", state.given):
            return []  # Envoy has not yet seen what it was given last; its next request says all that matters
        if not state.subscribed:
            state.subscribed = True
            return self._want(request, state) + self._give_held(request.type_url, state)
        if request.nonce and state.covers == state.nonce and not state.settled:
            self._adopt(request, state)
            return self._settle(request.type_url, state.covers, request.error)
        return self._want(request, state)

    def _want(self, request: Request, state: _Type) -> list[Command]:
        """Tell upstream which names Envoy wants, if that is news to it."""
        if not self._adopt(request, state):
            return []
        return self._ask(Ask(request.type_url, state.names, state.accepted, state.nonce))

    def _adopt(self, request: Request, state: _Type) -> bool:
        """Whether the names changed. What Envoy no longer wants is no longer held."""
        if request.names == state.names:
            return False
        state.names = request.names
        if request.type_url not in types.WHOLE:
            state.held = {name: value for name, value in state.held.items() if name in request.names}
        return True

    def _give_held(self, url: str, state: _Type) -> list[Command]:
        if not state.arrived or (not state.held and url not in types.WHOLE):
            return []
        self._serial += 1
        state.given, state.covers = f"held-{self._serial}", state.nonce
        return [Give(url, state.version, state.given, dict(state.held))]

    def _settle(self, url: str, nonce: str, error: str) -> list[Command]:
        state = self._types[url]
        if nonce != state.nonce or state.settled:
            return []  # of a dead stream, overtaken, or already answered
        state.settled = True
        if not error:
            state.accepted = state.version
        return self._ask(Ask(url, state.names, state.accepted, nonce, error))

    def _report(self) -> list[Command]:
        return self._ask(Ask(types.HEALTH, error=self._health.error)) if self._health else []

    def _ask(self, ask: Ask) -> list[Command]:
        return [ask] if self._upstream else []
