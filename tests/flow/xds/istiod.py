"""A control plane that speaks incrementally as istiod does, over real gRPC: its habits, nothing of a mesh.

Sources: istiod's own code (pilot/pkg/xds/delta.go) and the recorded stream. It gives resources no version,
and of the versions a client tells after a reconnect it takes the names alone; it takes no names from an
answer, and nothing at all from one to an older response than its last; who reconnects gets everything again,
and endpoints behind clusters.
"""

import contextlib
import itertools
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryRequest, DeltaDiscoveryResponse
from google.protobuf import any_pb2
from google.protobuf.message import Message

from lab.controlplane import type_urls
from lab.controlplane.snapshot.packing import pack

ADS = "envoy.service.discovery.v3.AggregatedDiscoveryService"
EVERYTHING = "*"
EXTENSION = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig"
NAMED = frozenset({type_urls.ENDPOINT, type_urls.ROUTE, EXTENSION})
"""Types of which a proxy has to name what it wants."""


@dataclass(slots=True)
class Watch:
    names: set[str]
    everything: bool
    nonce: str = ""


@dataclass(slots=True)
class Stream:
    context: Any
    watches: dict[str, Watch] = field(default_factory=dict)


class Istiod:
    """``versions``: unlike istiod, give them, and send nothing that a client has in that version."""

    def __init__(self, *, versions: bool = False) -> None:
        self.world: dict[str, dict[str, Message]] = {}
        self.requests: list[DeltaDiscoveryRequest] = []
        """Everything that was asked, on all streams."""
        self.accepted: list[str] = []
        """Nonces."""
        self.rejected: list[str] = []
        self.streams: list[Stream] = []
        self.port = 0
        self._versions = versions
        self._numbers = itertools.count(1)
        self._server: grpc.aio.Server | None = None

    def asked(self, url: str) -> list[DeltaDiscoveryRequest]:
        return [each for each in self.requests if each.type_url == url]

    async def start(self) -> None:
        server = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
        method = grpc.stream_stream_rpc_method_handler(
            self._stream,
            request_deserializer=DeltaDiscoveryRequest.FromString,
            response_serializer=DeltaDiscoveryResponse.SerializeToString,
        )
        handler = grpc.method_handlers_generic_handler(ADS, {"DeltaAggregatedResources": method})
        server.add_generic_rpc_handlers((handler,))
        self.port = server.add_insecure_port(f"127.0.0.1:{self.port}")
        await server.start()
        self._server = server

    async def stop(self) -> None:
        if self._server is not None:
            await self._server.stop(0)
        self._server = None

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Istiod"]:
        await self.start()
        try:
            yield self
        finally:
            await self.stop()

    async def push(self, url: str, changed: Mapping[str, Message], *removed: str) -> None:
        """The world changes, and whoever wants it hears of the change alone."""
        self.change(url, changed, *removed)
        for stream in self.streams:
            watch = stream.watches.get(url)
            if watch is not None:
                wanted = {name for name in changed if watch.everything or name in watch.names}
                await self._respond(stream, url, wanted, removed)

    def change(self, url: str, changed: Mapping[str, Message], *removed: str) -> None:
        """Nobody hears of it yet."""
        world = self.world.setdefault(url, {})
        world |= changed
        for name in removed:
            world.pop(name, None)

    async def _stream(self, requests: AsyncIterator[DeltaDiscoveryRequest], context: Any) -> None:
        stream = Stream(context)
        self.streams.append(stream)
        try:
            async for request in requests:
                self.requests.append(request)
                await self._answer(stream, request)
        finally:
            self.streams.remove(stream)

    async def _answer(self, stream: Stream, request: DeltaDiscoveryRequest) -> None:
        url = request.type_url
        if url == type_urls.HEALTH:
            return
        if request.HasField("error_detail"):
            self.rejected.append(request.error_detail.message)
            return
        watch = stream.watches.get(url)
        if watch is None:
            names = {*request.resource_names_subscribe, *request.initial_resource_versions} - {EVERYTHING}
            watch = stream.watches[url] = Watch(names, _wants_all(request))
            await self._first(stream, watch, request)
            return
        if request.response_nonce and request.response_nonce != watch.nonce:
            return
        before = set(watch.names)
        watch.names |= {*request.resource_names_subscribe}
        watch.names -= {*request.resource_names_unsubscribe}
        if request.response_nonce:
            self.accepted.append(request.response_nonce)
            assert watch.names == before, "istiod takes names from no answer"
        elif watch.names != before:
            await self._respond(stream, url, watch.names - before, before - watch.names)

    async def _first(self, stream: Stream, watch: Watch, request: DeltaDiscoveryRequest) -> None:
        url, told = request.type_url, request.initial_resource_versions
        there = self.world.get(url, {})
        wanted = set(there) if watch.everything else watch.names
        if self._versions:
            wanted = {name for name in wanted if name not in there or told.get(name) != _version(there[name])}
        await self._respond(stream, url, wanted, {*told} - there.keys())
        if url == type_urls.CLUSTER and (follower := stream.watches.get(type_urls.ENDPOINT)):
            await self._respond(stream, type_urls.ENDPOINT, follower.names)

    async def _respond(
        self, stream: Stream, url: str, names: Iterable[str], removed: Iterable[str] = ()
    ) -> None:
        there = self.world.get(url, {})
        names = sorted(names)
        gone = {*removed, *(name for name in names if name not in there)}
        nonce = f"n{next(self._numbers)}"
        response = DeltaDiscoveryResponse(
            system_version_info=f"push-{nonce}", type_url=url, nonce=nonce, removed_resources=sorted(gone)
        )
        for name in names:
            if name in there:
                entry = response.resources.add(name=name)
                entry.version = _version(there[name]) if self._versions else ""
                entry.resource.CopyFrom(_packed(there[name]))
        stream.watches[url].nonce = nonce
        await stream.context.write(response)


def _wants_all(request: DeltaDiscoveryRequest) -> bool:
    if EVERYTHING in request.resource_names_unsubscribe:
        return False
    if request.type_url in NAMED:
        return EVERYTHING in request.resource_names_subscribe
    return not request.resource_names_subscribe or EVERYTHING in request.resource_names_subscribe


def _packed(resource: Message) -> any_pb2.Any:
    return resource if isinstance(resource, any_pb2.Any) else pack(resource)


def _version(resource: Message) -> str:
    return str(hash(resource.SerializeToString(deterministic=True)))
