"""The downstream end: the ADS service that Envoy connects to, as a gRPC handler without serializers."""

import logging
from collections.abc import AsyncIterator

import grpc
from google.protobuf.message import DecodeError

from vmagent.runtime.lifecycle import Tasks
from vmagent.xds import sotw
from vmagent.xds.hub import Hub
from vmagent.xds.messages import Ask
from vmagent.xds.outbox import Ended, Outbox

log = logging.getLogger("xdsproxy")

SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"


class Relay:
    """Serves one Envoy at a time, the one that came last."""

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
        why = ""
        try:
            async with Tasks() as tasks:
                tasks.start("xds-to-envoy", self._send(outbox, context))
                await self._receive(outbox, requests)
                raise Ended
        except* Ended:
            log.info("Envoy disconnected")
        except* grpc.aio.BaseError:
            log.info("Envoy disconnected while it was written to")
        except* DecodeError as group:
            why = str(group.exceptions[0])
        finally:
            self._hub.close_envoy(outbox)
        if why:
            log.warning("ending Envoy's stream: %s", why)
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, why)

    async def _receive(self, outbox: Outbox, requests: AsyncIterator[bytes]) -> None:
        async for data in requests:
            request, node = sotw.decode_request(data)
            self._hub.from_envoy(outbox, request, node)

    async def _send(self, outbox: Outbox, context: "grpc.aio.ServicerContext[bytes, bytes]") -> None:
        while True:
            give = await outbox.get()
            assert not isinstance(give, Ask)
            await context.write(sotw.encode_response(give))
