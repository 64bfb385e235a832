"""One ADS stream as a value, state of the world: events in, commands out.

Owns:      the meaning of version, nonce, names and error_detail; what is pushed when, and in which order.
Does not:  know gRPC, the clock, tasks or logs. ``ads.py`` feeds it and performs the commands; tests read
           them.
Surprise:  a stream may send several responses of a type before one is answered. Every answer is recorded,
           but only one to the newest response says what the client wants now.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from google.protobuf import any_pb2

from lab.controlplane import type_urls
from lab.controlplane.snapshot import Snapshot
from lab.controlplane.subscription import FOLLOWERS, Watch


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A DiscoveryRequest. ``error`` is None unless the client refuses the response that ``nonce`` names."""

    type_url: str
    names: tuple[str, ...] = ()
    nonce: str = ""
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed:
    """The world changed; this is what it looks like to this proxy now."""

    snapshot: Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Respond:
    type_url: str
    version: str
    nonce: str
    resources: tuple[any_pb2.Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    type_url: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    type_url: str
    version: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportHealth:
    """The agent's word on its application: healthy without a message, else why not. It is never answered."""

    healthy: bool
    message: str = ""


Event = Request | Refreshed
Command = Respond | Accepted | Rejected | ReportHealth


class Session:
    """``nonces`` never repeats a value, not even across the streams of one client."""

    def __init__(self, snapshot: Snapshot, nonces: Iterator[str]) -> None:
        self._snapshot = snapshot
        self._nonces = nonces
        self._watches: dict[str, Watch] = {}

    @property
    def watches(self) -> Mapping[str, Watch]:
        """For whoever wants to know what this client accepted and refused."""
        return self._watches

    def on(self, event: Event) -> list[Command]:
        match event:
            case Request(type_url=type_urls.HEALTH, error=error):
                return [ReportHealth(healthy=error is None, message=error or "")]
            case Request():
                return self._asked(event)
            case Refreshed(snapshot=snapshot):
                self._snapshot = snapshot
                return self._changed()

    def _asked(self, request: Request) -> list[Command]:
        watch = self._watches.get(request.type_url)
        if watch is None or not request.nonce:
            # The first request of this type, or a client that starts over on the same stream: it has nothing.
            fresh = self._watches[request.type_url] = Watch(type_url=request.type_url, names=request.names)
            return self._with_follower(fresh)
        commands = _answered(watch, request)
        if request.nonce != watch.nonce:
            return commands
        added = set(request.names) - set(watch.names)
        became_everything = bool(watch.names) and not request.names
        watch.subscribe(request.names)
        if added or (became_everything and watch.type_url in type_urls.WILDCARD):
            commands += self._with_follower(watch)
        return commands

    def _changed(self) -> list[Command]:
        commands: list[Command] = []
        owed: set[str] = set()
        for type_url in type_urls.PUSH_ORDER:
            watch = self._watches.get(type_url)
            if watch is None:
                continue
            if type_url in owed or watch.content(self._snapshot) != watch.sent:
                commands += self._respond(watch)
                owed.add(FOLLOWERS.get(type_url, ""))
        return commands

    def _with_follower(self, watch: Watch) -> list[Command]:
        commands = self._respond(watch)
        follower = self._watches.get(FOLLOWERS.get(watch.type_url, ""))
        return commands + self._respond(follower) if follower is not None else commands

    def _respond(self, watch: Watch) -> list[Command]:
        if watch.type_url not in type_urls.PUSH_ORDER:
            return []  # istiod is silent too about types it has no generator for
        if watch.type_url not in type_urls.WILDCARD and not watch.names:
            return []
        nonce, version = next(self._nonces), self._snapshot.versions.get(watch.type_url, "")
        content = watch.content(self._snapshot)
        watch.offer(nonce, version, content)
        return [
            Respond(type_url=watch.type_url, version=version, nonce=nonce, resources=tuple(content.values()))
        ]


def _answered(watch: Watch, request: Request) -> list[Command]:
    version = watch.answer(request.nonce, request.error)
    if version is None:
        return []
    if request.error is None:
        return [Accepted(type_url=watch.type_url, version=version)]
    return [Rejected(type_url=watch.type_url, version=version, reason=request.error)]
