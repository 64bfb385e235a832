"""One ADS stream as a value: events in, commands out. What both variants have in common.

Owns:      the words, the meaning of nonce and error_detail, and the order in which types are pushed.
Does not:  know gRPC, the clock, tasks or logs. ``ads.py`` feeds it and performs the commands; tests read
           them. How names are asked for and answers are cut is the variant's: sotw.py, delta.py.
Surprise:  a stream may send several responses of a type before one is answered. Every answer is recorded.
"""

import abc
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from google.protobuf import any_pb2

from lab.controlplane import type_urls
from lab.controlplane.snapshot import Resources, Snapshot, Versions
from lab.controlplane.subscription import Watch


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A DiscoveryRequest. ``error`` is None unless the client refuses the response that ``nonce`` names."""

    type_url: str
    names: tuple[str, ...] = ()
    """All it wants from now on."""
    nonce: str = ""
    error: str | None = None
    code: int = 0
    """Of the error, as gRPC counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaRequest:
    """A DeltaDiscoveryRequest."""

    type_url: str
    subscribe: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()
    known: Versions = field(default_factory=dict)
    """What it still holds of an earlier stream; said with the first request of a type."""
    nonce: str = ""
    error: str | None = None
    code: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed:
    """The world changed; this is what it looks like to this proxy now."""

    snapshot: Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Respond:
    """A DiscoveryResponse: all of a subscription."""

    type_url: str
    version: str
    nonce: str
    resources: tuple[any_pb2.Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RespondDelta:
    """A DeltaDiscoveryResponse: what is new of a subscription, and what is no more."""

    type_url: str
    version: str
    nonce: str
    resources: Resources = field(default_factory=dict)
    versions: Versions = field(default_factory=dict)
    """Of each of the resources."""
    removed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    type_url: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    type_url: str
    version: str
    reason: str
    code: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outdated:
    """An answer that is not to the newest response, or to none of this stream."""

    type_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportHealth:
    """The agent's word on its application: healthy without a message, else why not. It is never answered."""

    healthy: bool
    message: str = ""


Event = Request | DeltaRequest | Refreshed
Command = Respond | RespondDelta | Accepted | Rejected | Outdated | ReportHealth


NOTHING: Final = Snapshot.of_resources({})
"""Before the first snapshot is there."""


class Session(abc.ABC):
    """``nonces`` never repeats a value, not even across the streams of one client."""

    def __init__(self, nonces: Iterator[str], snapshot: Snapshot = NOTHING) -> None:
        self._snapshot = snapshot
        self._nonces = nonces
        self._watches: dict[str, Watch] = {}

    @property
    def watches(self) -> Mapping[str, Watch]:
        """For whoever wants to know what this client accepted and refused."""
        return self._watches

    def on(self, event: Event) -> list[Command]:
        match event:
            case Refreshed(snapshot=snapshot):
                self._snapshot = snapshot
                return self._changed()
            case Request(type_url=type_urls.HEALTH) | DeltaRequest(type_url=type_urls.HEALTH):
                return [ReportHealth(healthy=event.error is None, message=event.error or "")]
            case _:
                return self._asked(event)

    @abc.abstractmethod
    def _asked(self, request: Request | DeltaRequest) -> list[Command]: ...

    @abc.abstractmethod
    def _changed(self) -> list[Command]: ...

    def _in_push_order(self) -> Iterator[Watch]:
        return (self._watches[url] for url in type_urls.PUSH_ORDER if url in self._watches)

    def _offer(self, watch: Watch) -> tuple[str, str]:
        """Nonce and version of a response that is about to leave."""
        nonce, version = next(self._nonces), self._snapshot.versions.get(watch.type_url, "")
        watch.offer(nonce, version)
        return nonce, version


def answered(watch: Watch, request: Request | DeltaRequest) -> list[Command]:
    """What a request says about a response, if it has a nonce."""
    if not request.nonce:
        return []
    outdated: list[Command] = [Outdated(type_url=watch.type_url)] if request.nonce != watch.nonce else []
    version = watch.answer(request.nonce, request.error)
    if version is None:
        return outdated
    if request.error is None:
        return [*outdated, Accepted(type_url=watch.type_url, version=version)]
    reason = request.error
    return [*outdated, Rejected(type_url=watch.type_url, version=version, reason=reason, code=request.code)]
