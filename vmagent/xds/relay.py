"""The downstream end: the ADS service that Envoy connects to, as a gRPC handler without serializers.

Both variants are served always; which one Envoy takes stands in its bootstrap (ISTIO_DELTA_XDS). A stream has
its place at the hub from its first request on, which tells whose it is.
"""

import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType

import grpc
from google.protobuf.message import DecodeError

from vmagent._pb import wire_pb2 as wire
from vmagent.runtime.lifecycle import Tasks
from vmagent.runtime.sending import widen
from vmagent.xds import delta, sotw
from vmagent.xds.hub import Hub
from vmagent.xds.messages import Give
from vmagent.xds.outbox import Ended, Outbox

log = logging.getLogger("xdsproxy")

SERVICE = "envoy.service.discovery.v3.AggregatedDiscoveryService"

_EPOCH = re.compile(r"[0-9]{1,10}")
"""Envoy keeps it in 32 bits."""


class Relay:
    """Serves one Envoy at a time; the hub knows which."""

    def __init__(self, hub: Hub, socket: Path | None = None, *, epoch: str = "") -> None:
        """``socket``: where it will be served, if that is a Unix socket. ``epoch``: what an Envoy calls its
        restart epoch, in the metadata of its node.
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
        await self._stream(sotw, requests, context)

    async def _delta(
        self, requests: AsyncIterator[bytes], context: "grpc.aio.ServicerContext[bytes, bytes]"
    ) -> None:
        await self._stream(delta, requests, context)

    async def _stream(
        self,
        codec: ModuleType,
        requests: AsyncIterator[bytes],
        context: "grpc.aio.ServicerContext[bytes, bytes]",
    ) -> None:
        log.info("Envoy connected")
        if self._socket:
            widen(self._socket)
        outbox: Outbox | None = None
        why = ""
        try:
            async with Tasks() as tasks:
                async for data in requests:
                    request, node = codec.decode_request(data)
                    if outbox is None:
                        outbox = self._hub.open_envoy(delta=codec is delta, epoch=self._told(node))
                        tasks.start("xds-to-envoy", self._send(codec, outbox, context))
                    self._hub.from_envoy(outbox, request, node)
                raise Ended
        except* Ended:
            log.info("Envoy disconnected")
        except* grpc.aio.BaseError:
            log.info("Envoy disconnected while it was written to")
        except* DecodeError as group:
            why = str(group.exceptions[0])
        finally:
            if outbox is not None:
                self._hub.close_envoy(outbox)
        if why:
            log.warning("ending Envoy's stream: %s", why)
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, why)

    def _told(self, node: wire.Node) -> int:
        """-1 for one that does not tell: a tool, or an Envoy that an earlier version of the agent started."""
        fields = node.metadata.fields
        told = fields[self._epoch].string_value if self._epoch in fields else ""
        return int(told) if _EPOCH.fullmatch(told) else -1

    async def _send(
        self, codec: ModuleType, outbox: Outbox, context: "grpc.aio.ServicerContext[bytes, bytes]"
    ) -> None:
        while True:
            give = await outbox.get()
            assert isinstance(give, Give)
            await context.write(codec.encode_response(give))
