"""A control plane that says whatever it is given, to one stream, state of the world."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import grpc
import grpc.aio
from envoy.config.core.v3 import base_pb2
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import any_pb2

from lab.controlplane import type_urls
from lab.controlplane.snapshot.packing import pack
from tests.flow.envoy.parts import SERVICE
from tests.flow.xds.machine import until
from vmagent.xds import sotw

PATIENCE = 15.0

Resources: TypeAlias = Mapping[str, Mapping[str, any_pb2.Any]]
"""Type URL and name to resource."""


def named(*resources: any_pb2.Any) -> dict[str, any_pb2.Any]:
    return {sotw.resource_name(each.value): each for each in resources}


class Plane:
    def __init__(self) -> None:
        self.version = 0
        self.accepted: dict[str, int] = {}
        self.rejected: list[str] = []
        self.asked: dict[str, list[str]] = {}
        self.node: base_pb2.Node | None = None
        """Of the first request: who asks, and what it can load."""
        self._resources: Resources = {}
        self._context: Any = None
        self._turn = asyncio.Lock()

    async def stream(self, requests: AsyncIterator[bytes], context: Any) -> None:
        self._context = context
        async for data in requests:
            request = discovery_pb2.DiscoveryRequest.FromString(data)
            self.node = self.node or request.node
            url, names = request.type_url, list(request.resource_names)
            if request.HasField("error_detail"):
                self.rejected.append(f"{url}: {request.error_detail.message}")
            if request.response_nonce:
                self.accepted[url] = int(request.version_info or 0)
            if self.asked.get(url) != names:
                self.asked[url] = names
                await self._answer(url)

    async def play(self, resources: Resources) -> None:
        """Returns when Envoy has accepted or rejected all of it."""
        await self.say(resources)
        await until(lambda: self.rejected or self._settled(), within=PATIENCE)

    async def say(self, resources: Resources) -> None:
        self.version += 1
        self._resources = resources
        for url in type_urls.PUSH_ORDER:
            if url in self.asked:
                await self._answer(url)

    def _settled(self) -> bool:
        """Envoy keeps its word on clusters while one of them warms, as one does whose secret nobody here
        serves; the clusters went out first, so it has judged them all the same, and its statistics tell.
        """
        asked = {url for url, names in self.asked.items() if names or url in type_urls.WILDCARD}
        served = self._resources.keys() & asked - {type_urls.CLUSTER}
        return len(asked) >= 3 and all(self.accepted.get(url) == self.version for url in served)

    async def _answer(self, url: str) -> None:
        async with self._turn:
            known = self._resources.get(url)
            if known is None:
                return
            chosen = list(known.values())
            if url == type_urls.ENDPOINT:
                names = self.asked[url]
                chosen = [known.get(name) or pack(ClusterLoadAssignment(cluster_name=name)) for name in names]
            elif url not in type_urls.WILDCARD:
                chosen = [known[name] for name in self.asked[url] if name in known]
            response = discovery_pb2.DiscoveryResponse(
                type_url=url, version_info=str(self.version), nonce=f"{url}{self.version}", resources=chosen
            )
            await self._context.write(response.SerializeToString())


@contextlib.asynccontextmanager
async def plane_on(address: str) -> AsyncIterator[tuple[Plane, int]]:
    """``address`` as gRPC writes it; with the port that was chosen for one that ends in 0."""
    plane, server = Plane(), grpc.aio.server()
    method = {"StreamAggregatedResources": grpc.stream_stream_rpc_method_handler(plane.stream)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, method),))
    port = server.add_insecure_port(address)
    await server.start()
    try:
        yield plane, port
    finally:
        await server.stop(None)


@contextlib.asynccontextmanager
async def plane_at(socket: Path) -> AsyncIterator[Plane]:
    """In the place of the agent, where Envoy looks for it."""
    socket.parent.mkdir(parents=True, exist_ok=True)
    async with plane_on(f"unix:{socket}") as (plane, _):
        yield plane
