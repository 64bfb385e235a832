"""The gRPC shell around SdsSession. Binds no socket: ``handler()`` goes on a server with a private one.

Whoever can connect gets the private key, so the socket's directory (0700) is the only door.
"""

import asyncio
import itertools
import logging
import uuid
from collections.abc import AsyncIterator, Callable

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from vmagent._pb import wire_pb2 as wire
from vmagent.identity.credential import Credential
from vmagent.runtime.clock import Clock, rfc3339
from vmagent.runtime.latest import Latest
from vmagent.runtime.lifecycle import Tasks
from vmagent.sds.secrets import changed, response
from vmagent.sds.session import Asked, Refuse, Reply, SdsSession

log = logging.getLogger("sds")

SERVICE = "envoy.service.secret.v3.SecretDiscoveryService"

Context = grpc.aio.ServicerContext[bytes, bytes]


class SdsServer:
    """StreamSecrets only. DeltaSecrets and FetchSecrets are UNIMPLEMENTED, as in Istio's agent: Envoy is told
    to use the stream."""

    def __init__(self, credentials: Latest[Credential], *, clock: Clock) -> None:
        self._credentials = credentials
        self._clock = clock
        self._versions = itertools.count(1)

    def handler(self) -> "grpc.GenericRpcHandler[bytes, bytes]":
        """In bytes, as all handlers on Envoy's sockets; the messages are read here."""
        stream = grpc.stream_stream_rpc_method_handler(self._stream)
        return grpc.method_handlers_generic_handler(SERVICE, {"StreamSecrets": stream})

    async def _stream(self, requests: AsyncIterator[bytes], context: Context) -> None:
        stream = _Stream(context, self._version)
        async with Tasks() as tasks:
            pushing = tasks.start("sds-push", stream.push(self._credentials))
            refusal = await stream.read(requests)
            pushing.cancel()
        if refusal is not None:
            log.warning("SDS: refused a stream: %s", refusal.why)
            code = grpc.StatusCode.NOT_FOUND if refusal.missing else grpc.StatusCode.INVALID_ARGUMENT
            await context.abort(code, refusal.why)

    def _version(self) -> str:
        return f"{rfc3339(self._clock.now())}/{next(self._versions)}"


class _Stream:
    """Requests and credentials arrive in two tasks and take turns at the session and at writing."""

    def __init__(self, context: Context, version: Callable[[], str]) -> None:
        self._context = context
        self._version = version
        self._session = SdsSession(lambda: str(uuid.uuid4()))
        self._served: Credential | None = None
        self._turn = asyncio.Lock()

    async def read(self, requests: AsyncIterator[bytes]) -> Refuse | None:
        """Until Envoy ends the stream (None) or asks for something we refuse."""
        async for data in requests:
            try:
                asked = _asked(wire.DiscoveryRequest.FromString(data))
            except DecodeError:
                return Refuse(why="not a DiscoveryRequest")
            if asked.rejected:
                log.warning("SDS: Envoy rejected %s: %s", ",".join(asked.names), asked.rejected)
            async with self._turn:
                match self._session.request(asked):
                    case Refuse() as refusal:
                        return refusal
                    case Reply() as reply:
                        await self._send(reply)
        return None

    async def push(self, credentials: Latest[Credential]) -> None:
        async for credential in credentials.changes():
            async with self._turn:
                names = changed(self._served, credential)
                self._served = credential
                for reply in self._session.change(names):
                    await self._send(reply)

    async def _send(self, reply: Reply) -> None:
        assert self._served is not None, "the session replies only after the first change"
        message = response(reply.names, self._served, version=self._version(), nonce=reply.nonce)
        await self._context.write(message.SerializeToString())
        for name in reply.names:
            log.info("SDS: PUSH\tresource=%s", name)


def _asked(request: wire.DiscoveryRequest) -> Asked:
    failed = request.HasField("error_detail")
    return Asked(
        node_id=request.node.id,
        names=tuple(request.resource_names),
        nonce=request.response_nonce,
        rejected=(request.error_detail.message or "without a reason") if failed else "",
    )
