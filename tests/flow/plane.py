"""A control plane that plays given resources to one stream after the other, state of the world."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import any_pb2, json_format
from google.protobuf.message import Message

from lab.controlplane import type_urls
from tests.flow.envoy.parts import SERVICE

SECRET = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
ORDER = (*type_urls.PUSH_ORDER, SECRET)

Resources = Mapping[str, Mapping[str, any_pb2.Any]]
"""Type URL to name to resource."""


def pack(document: dict[str, Any], message: Message) -> any_pb2.Any:
    """From JSON as Envoy's documentation writes it."""
    packed = any_pb2.Any()
    packed.Pack(json_format.ParseDict(document, message))
    return packed


@dataclass
class Plane:
    resources: Resources = field(default_factory=dict)
    port: int = 0
    asked: dict[str, list[str]] = field(default_factory=dict)
    accepted: dict[str, str] = field(default_factory=dict)
    rejected: list[str] = field(default_factory=list)
    nodes: list[Any] = field(default_factory=list)
    """Of each stream, in order."""

    def __post_init__(self) -> None:
        self._version = 1
        self._context: Any = None
        self._turn = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Plane"]:
        server = grpc.aio.server()
        method = {"StreamAggregatedResources": grpc.stream_stream_rpc_method_handler(self._stream)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, method),))
        self.port = server.add_insecure_port(f"127.0.0.1:{self.port}")
        await server.start()
        try:
            yield self
        finally:
            await server.stop(None)

    async def push(self, resources: Resources) -> None:
        self.resources, self._version = resources, self._version + 1
        for url in ORDER:
            if url in self.asked:
                await self._answer(url)

    async def _stream(self, requests: AsyncIterator[bytes], context: Any) -> None:
        self._context, self.asked = context, {}
        async for data in requests:
            request = discovery_pb2.DiscoveryRequest.FromString(data)
            url, names = request.type_url, list(request.resource_names)
            if request.HasField("node"):
                self.nodes.append(request.node)
            if request.HasField("error_detail"):
                self.rejected.append(request.error_detail.message)
            elif request.response_nonce:
                self.accepted[url] = request.version_info
            if self.asked.get(url) != names:
                self.asked[url] = names
                await self._answer(url)

    async def _answer(self, url: str) -> None:
        async with self._turn:
            known = self.resources.get(url, {})
            wanted = (
                known if url in type_urls.WILDCARD else {name: known.get(name) for name in self.asked[url]}
            )
            chosen = [each for each in wanted.values() if each is not None]
            response = discovery_pb2.DiscoveryResponse(
                type_url=url, version_info=str(self._version), nonce=f"{url}{self._version}", resources=chosen
            )
            await self._context.write(response.SerializeToString())
