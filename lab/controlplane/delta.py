"""Delta: requests add and take away names, responses hold what changed and what is gone.

Owns:      the record of what the client holds, version by version, over a reconnect too.
Surprise:  three things differ from istiod 1.29, each in favour of the client. istiod leaves the version of
           every resource empty, and sends everything again to a client that reconnects; here what has the
           version that the client names is not sent again. istiod sends the clusters and listeners that never
           change with every push; here only changes. istiod drops names that come with an outdated nonce;
           here they count, since nobody would say them again.
"""

from collections.abc import Iterable
from typing import Final

from google.protobuf import any_pb2

from lab.controlplane import type_urls
from lab.controlplane.session import Command, DeltaRequest, Request, RespondDelta, Session, answered
from lab.controlplane.subscription import EVERYTHING, Watch, nothing_behind

_UNKNOWN: Final = "?"
"""The version of what a client holds and got without one, as from istiod. It is no version of ours."""


class DeltaSession(Session):
    def _asked(self, request: Request | DeltaRequest) -> list[Command]:
        if isinstance(request, Request):
            raise TypeError("a state of the world request on a delta stream")
        watch = self._watches.get(request.type_url)
        if watch is None:
            watch = self._watches[request.type_url] = _first(request)
            return self._answer(watch, always=True)
        commands = answered(watch, request)
        if request.subscribe or request.unsubscribe:
            _change(watch, request)
            commands += self._answer(watch)
        return commands

    def _changed(self) -> list[Command]:
        return [command for watch in self._in_push_order() for command in self._update(watch)]

    def _answer(self, watch: Watch, *, always: bool = False) -> list[Command]:
        commands = self._update(watch, always=always)
        endpoints = self._watches.get(type_urls.ENDPOINT)
        if watch.type_url == type_urls.CLUSTER and endpoints is not None:
            commands += self._update(endpoints)
        return commands

    def _update(self, watch: Watch, *, always: bool = False) -> list[Command]:
        """``always``: also when there is nothing to say, so that a client knows that it has everything."""
        if watch.type_url not in type_urls.PUSH_ORDER:
            return []  # istiod is silent too about types it has no generator for
        wanted, sent = watch.wanted(self._snapshot), watch.sent
        changed = {name: version for name, version in wanted.items() if sent.get(name) != version}
        gone = [name for name in sent if name not in wanted]
        if not (changed or gone or always):
            return []
        resources = {name: found for name in changed if (found := self._resource(watch, name)) is not None}
        removed = [name for name in changed if name not in resources]
        for name in gone:
            del sent[name]
        sent.update(changed)
        if watch.type_url == type_urls.CLUSTER:
            self._forget_endpoints(resources)
        nonce, version = self._offer(watch)
        return [
            RespondDelta(
                type_url=watch.type_url,
                version=version,
                nonce=nonce,
                resources=resources,
                versions={name: changed[name] for name in resources},
                removed=(*removed, *gone),
            )
        ]

    def _resource(self, watch: Watch, name: str) -> any_pb2.Any | None:
        """None: tell the client that there is none. A cluster that was never served has no endpoints; one
        that is served no longer is gone, as istiod says it."""
        found = self._snapshot.resource(watch.type_url, name)
        if found is None and watch.type_url == type_urls.ENDPOINT and name not in watch.sent:
            return nothing_behind(name)
        return found

    def _forget_endpoints(self, clusters: Iterable[str]) -> None:
        """Envoy warms a cluster that changed until its endpoints arrive, and does not ask for them again."""
        endpoints = self._watches.get(type_urls.ENDPOINT)
        if endpoints is not None:
            for name in clusters:
                endpoints.sent.pop(name, None)


def _first(request: DeltaRequest) -> Watch:
    """What a client holds of a type that is asked for by name it has asked for, as istiod takes it."""
    wildcard = request.type_url in type_urls.WILDCARD
    watch = Watch(type_url=request.type_url, everything=wildcard and not request.subscribe)
    _change(watch, request)
    watch.sent.update({name: version or _UNKNOWN for name, version in request.known.items()})
    if not wildcard:
        watch.names = tuple(dict.fromkeys((*watch.names, *request.known)))
    return watch


def _change(watch: Watch, request: DeltaRequest) -> None:
    """A name that is said again is answered again: the client may have forgotten what it held."""
    if watch.type_url in type_urls.WILDCARD:
        watch.everything = (
            watch.everything or EVERYTHING in request.subscribe
        ) and EVERYTHING not in request.unsubscribe
    dropped = frozenset(request.unsubscribe)
    kept = (name for name in (*watch.names, *request.subscribe) if name not in dropped and name != EVERYTHING)
    wanted = dict.fromkeys(kept)
    watch.names = tuple(wanted)
    for name in (*request.subscribe, *request.unsubscribe):
        watch.sent.pop(name, None)
    if not watch.everything:
        watch.sent = {name: version for name, version in watch.sent.items() if name in wanted}
