"""The downstream end: the ADS service that Envoy connects to, as a gRPC handler without serializers.

Both variants are served always; which one Envoy takes stands in its bootstrap (ISTIO_DELTA_XDS).
"""

import logging
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType

import grpc
from google.protobuf.message import DecodeError

from vmagent.runtime.lifecycle import Tasks
from vmagent.runtime.sending import widen
from vmagent.xds import delta, sotw
from vmagent.xds.hub import Hub
from vmagent.xds.messages import Give
from vmagent.xds.outbox import Ended, Outbox

log = logging.getLogger("xdsproxy")

SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"


class Relay:
    """Serves one Envoy at a time; the hub knows which."""

    def __init__(self, hub: Hub, socket: Path | None = None, *, epoch: str = "") -> None:
        """``socket``: where it will be served, if that is a Unix socket. ``epoch``: the header in which an
        Envoy tells its restart epoch.
        """
        self._hub = hub
        self._socket = socket
        self._epoch = epoch

    def handler(self) -> "grpc.GenericRpcHandler[bytes, bytes]":
        methods = {sotw.METHOD: self._sotw, delta.METHOD: self._delta}
        return grpc.method_handlers_generic_handler(
            SERVICE, {name: grpc.stream_stream_rpc_method_handler(each) for name, each in methods.items()}
        )

    async def _sotw(
        self, requests: AsyncIterator[bytes], context: "grpc.aio.ServicerContext[bytes, bytes]"
    ) -> None:
        await self._stream(sotw, self._hub.open_envoy(epoch=self._told(context)), requests, context)

    async def _delta(
        self, requests: AsyncIterator[bytes], context: "grpc.aio.ServicerContext[bytes, bytes]"
    ) -> None:
        envoy = self._hub.open_envoy(delta=True, epoch=self._told(context))
        await self._stream(delta, envoy, requests, context)

    def _told(self, context: "grpc.aio.ServicerContext[bytes, bytes]") -> int:
        """-1 for one that does not tell: it has a bootstrap of the operator's, or of an earlier agent."""
        for key, value in context.invocation_metadata() or ():
            if key == self._epoch and str(value).isdecimal():
                return int(value)
        return -1

    async def _stream(
        self,
        codec: ModuleType,
        outbox: Outbox,
        requests: AsyncIterator[bytes],
        context: "grpc.aio.ServicerContext[bytes, bytes]",
    ) -> None:
        log.info("Envoy connected")
        if self._socket:
            widen(self._socket)
        why = ""
        try:
            async with Tasks() as tasks:
                tasks.start("xds-to-envoy", self._send(codec, outbox, context))
                await self._receive(codec, outbox, requests)
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

    async def _receive(self, codec: ModuleType, outbox: Outbox, requests: AsyncIterator[bytes]) -> None:
        async for data in requests:
            request, node = codec.decode_request(data)
            self._hub.from_envoy(outbox, request, node)

    async def _send(
        self, codec: ModuleType, outbox: Outbox, context: "grpc.aio.ServicerContext[bytes, bytes]"
    ) -> None:
        while True:
            give = await outbox.get()
            assert isinstance(give, Give)
            await context.write(codec.encode_response(give))
