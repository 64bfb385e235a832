"""Envoy's end of SDS, in its own messages (from its published protos, not ours)."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import grpc.aio
import pytest
from envoy.config.core.v3 import base_pb2
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.rpc import status_pb2

from vmagent.sds.server import SERVICE

NODE = base_pb2.Node(id="sidecar~192.168.0.204~vm204.istio-demo~istio-demo.svc.cluster.local")


class Envoy:
    """One SDS stream, as Envoy opens one for each secret."""

    def __init__(self, channel: grpc.aio.Channel, method: str = "StreamSecrets") -> None:
        self._requests: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._call = channel.stream_stream(f"/{SERVICE}/{method}", bytes, bytes)(self._outgoing())
        self._last = discovery_pb2.DiscoveryResponse()
        self._names: tuple[str, ...] = ()

    async def _outgoing(self) -> AsyncIterator[bytes]:
        while (data := await self._requests.get()) is not None:
            yield data

    def ask(self, *names: str, node: base_pb2.Node | None = NODE) -> None:
        self._names = names
        self.say(discovery_pb2.DiscoveryRequest(node=node, resource_names=names).SerializeToString())

    def acknowledge(self, *names: str) -> None:
        self.say(
            discovery_pb2.DiscoveryRequest(
                version_info=self._last.version_info, resource_names=names, response_nonce=self._last.nonce
            ).SerializeToString()
        )

    def say(self, data: bytes) -> None:
        self._requests.put_nowait(data)

    async def hear(self) -> list[secret_pb2.Secret]:
        data = await self._call.read()
        assert isinstance(data, bytes)
        got = discovery_pb2.DiscoveryResponse.FromString(data)
        assert got.nonce != self._last.nonce
        assert got.version_info != self._last.version_info
        self._last = got
        assert {one.type_url for one in got.resources} == {got.type_url}
        return [secret_pb2.Secret.FromString(one.value) for one in got.resources]

    async def denied(self) -> str:
        """The sentence that stands in place of a secret; it is rejected, as Envoy rejects it."""
        data = await self._call.read()
        assert isinstance(data, bytes)
        got = discovery_pb2.DiscoveryResponse.FromString(data)
        [only] = got.resources
        status = status_pb2.Status()
        assert only.Unpack(status)
        self.say(
            discovery_pb2.DiscoveryRequest(
                response_nonce=got.nonce, resource_names=self._names, error_detail={"message": "no secret"}
            ).SerializeToString()
        )
        return str(status.message)

    async def turned_away(self) -> tuple[grpc.StatusCode, str]:
        with pytest.raises(grpc.aio.AioRpcError):
            await self._call.read()
        return await self._call.code(), await self._call.details()

    async def leave(self) -> grpc.StatusCode:
        self._requests.put_nowait(None)
        return await self._call.code()

    def vanish(self) -> None:
        self._call.cancel()
