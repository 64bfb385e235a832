"""Messages on their way to one peer, which may be slow.

Owns:      what may be left out or joined when the peer does not keep up. What is left out was never sent, so
           the session sees no answer to it, as when one update overtakes another.
Does not:  write to a stream (upstream.py, relay.py).
Surprise:  it is bounded by the number of types and not by a count: an Envoy that is stopped for an hour holds
           one response of each type here, and gets that when it goes on. Incrementally that response has the
           newest of each resource that changed meanwhile.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias

from vmagent.xds import types
from vmagent.xds.messages import Ask, DeltaAsk, Give
from vmagent.xds.resources import Resources
from vmagent.xds.wanted import EVERYTHING, Wanted

Message: TypeAlias = Ask | DeltaAsk | Give


class Ended(Exception):
    """Nothing more comes through this outbox: its stream shall end."""


class Outbox:
    """Its identity is the identity of the stream. One reader."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str], Message] = {}
        self._news = asyncio.Event()
        self._ended = False

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, message: Message) -> None:
        """A newer message is joined with the one of its kind that still waits, in its place."""
        kind = (message.type_url, _sort(message))
        joined = _joined(self._waiting[kind], message) if kind in self._waiting else message
        if joined is None:
            del self._waiting[kind]
            return
        self._waiting[kind] = joined
        self._news.set()

    def end(self) -> None:
        self._ended = True
        self._news.set()

    async def get(self) -> Message:
        """Raises Ended."""
        while not self._ended:
            if self._waiting:
                return self._next()
            self._news.clear()
            await self._news.wait()
        raise Ended

    def _next(self) -> Message:
        kind = next(iter(self._waiting))
        message = self._waiting.pop(kind)
        if isinstance(message, DeltaAsk) and message.subscribe & message.unsubscribe:
            # Given up and wanted again: in one message the control plane would take one or the other.
            self._waiting = {kind: replace(message, unsubscribe=frozenset()), **self._waiting}
            return replace(message, subscribe=frozenset())
        return message


def _sort(message: Message) -> str:
    """A rejection is to be heard although something newer was accepted; of health only the latest counts."""
    if isinstance(message, Give) or message.type_url == types.HEALTH:
        return ""
    if message.error:
        return "rejection"
    return "acceptance" if isinstance(message, DeltaAsk) and message.nonce else ""


def _joined(earlier: Message, message: Message) -> Message | None:
    """None: together they say nothing."""
    if isinstance(earlier, Give) and isinstance(message, Give):
        return _both(earlier, message)
    if isinstance(earlier, DeltaAsk) and isinstance(message, DeltaAsk) and _subscribes(message):
        return _from_the_first(earlier, message) if earlier.first else _subscriptions(earlier, message)
    return message


def _subscribes(message: DeltaAsk) -> bool:
    return bool(message.subscribe or message.unsubscribe)


def _both(earlier: Give, message: Give) -> Give:
    if not message.delta and message.type_url in types.WHOLE:
        return message
    removed = (earlier.removed - message.resources.keys()) | message.removed
    resources = _merged(earlier.resources, message.resources, without=message.removed)
    if isinstance(resources, Resources):
        versions: Mapping[str, str] = resources.versions if message.delta else {}
    else:
        versions = {**earlier.versions, **message.versions}
    return replace(message, resources=resources, removed=removed, versions=versions, raw=b"")


def _merged(
    earlier: Mapping[str, bytes], later: Mapping[str, bytes], without: frozenset[str]
) -> Mapping[str, bytes]:
    """Bytes that lie in a file stay there."""
    if isinstance(earlier, Resources) and isinstance(later, Resources):
        pieces = {**earlier.pieces, **later.pieces}
        return Resources.of({name: piece for name, piece in pieces.items() if name not in without})
    return {name: value for name, value in {**earlier, **later}.items() if name not in without}


def _subscriptions(earlier: DeltaAsk, message: DeltaAsk) -> DeltaAsk | None:
    """Giving up what was not asked for yet cancels it."""
    subscribe = (earlier.subscribe - message.unsubscribe) | message.subscribe
    unsubscribe = earlier.unsubscribe | (message.unsubscribe - earlier.subscribe)
    if not subscribe and not unsubscribe:
        return None
    return replace(message, subscribe=subscribe, unsubscribe=unsubscribe)


def _from_the_first(earlier: DeltaAsk, message: DeltaAsk) -> DeltaAsk | None:
    """The first message about a type is still the first; without names it would ask for everything."""
    wanted = Wanted.of(earlier.subscribe).changed(message.subscribe, message.unsubscribe)
    if not wanted:
        return None
    names = wanted.names | {EVERYTHING} if wanted.everything and wanted.names else wanted.names
    versions = {name: version for name, version in earlier.versions.items() if wanted.covers(name)}
    return replace(earlier, subscribe=names, versions=versions)
