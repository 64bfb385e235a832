"""The downstream end: the ADS service that Envoy connects to, as a gRPC handler without serializers."""

import logging
from collections.abc import AsyncIterator

import grpc
from google.protobuf.message import DecodeError

from vmagent.runtime.lifecycle import Tasks
from vmagent.xds import sotw
from vmagent.xds.hub import Hub, Outbox, Overflow
from vmagent.xds.session import Ask

log = logging.getLogger("xdsproxy")

SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"


class _Ended(Exception):
    """Envoy closed its stream: the way out of the stream's tasks."""


class Relay:
    """Serves one Envoy at a time; a second stream replaces the first, as when Envoy restarts."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def handler(self) -> "grpc.GenericRpcHandler[bytes, bytes]":
        return grpc.method_handlers_generic_handler(
            SERVICE, {"StreamAggregatedResources": grpc.stream_stream_rpc_method_handler(self._stream)}
        )

    async def _stream(
        self, requests: AsyncIterator[bytes], context: "grpc.aio.ServicerContext[bytes, bytes]"
    ) -> None:
        outbox = self._hub.open_envoy()
        log.info("Envoy connected")
        try:
            async with Tasks() as tasks:
                tasks.start("xds-to-envoy", self._send(outbox, context))
                await self._receive(outbox, requests)
                raise _Ended
        except* _Ended:
            log.info("Envoy disconnected")
        except* (Overflow, DecodeError) as group:
            why = group.exceptions[0]
            log.warning("ending Envoy's stream: %s", why)
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, str(why))
        finally:
            self._hub.close_envoy(outbox)

    async def _receive(self, outbox: Outbox, requests: AsyncIterator[bytes]) -> None:
        async for data in requests:
            request, node = sotw.decode_request(data)
            self._hub.from_envoy(outbox, request, node)

    async def _send(self, outbox: Outbox, context: "grpc.aio.ServicerContext[bytes, bytes]") -> None:
        while True:
            give = await outbox.get()
            assert not isinstance(give, Ask)
            await context.write(sotw.encode_response(give))
