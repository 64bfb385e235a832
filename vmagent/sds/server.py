"""The gRPC shell around SdsSession. Binds no socket: ``handler()`` goes on a server with a private one.

Whoever can connect gets the private keys, so the socket's directory (0700) is the only door.
"""

import asyncio
import itertools
import logging
import uuid
from collections.abc import AsyncIterator, Callable, Iterable

import grpc
import grpc.aio
from google.protobuf.message import DecodeError

from vmagent._pb import wire_pb2 as wire
from vmagent.identity.certfiles import Content
from vmagent.identity.credential import Credential
from vmagent.runtime.clock import Clock, rfc3339
from vmagent.runtime.latest import Latest
from vmagent.runtime.lifecycle import Tasks
from vmagent.sds import secrets
from vmagent.sds.files import FileSecrets
from vmagent.sds.names import OWN
from vmagent.sds.session import Answer, Asked, Denial, Refuse, Reply, SdsSession

log = logging.getLogger("sds")

SERVICE = "envoy.service.secret.v3.SecretDiscoveryService"

Context = grpc.aio.ServicerContext[bytes, bytes]


class SdsServer:
    """StreamSecrets only. DeltaSecrets and FetchSecrets are UNIMPLEMENTED, as in Istio's agent: Envoy is told
    to use the stream."""

    def __init__(self, credentials: Latest[Credential], files: FileSecrets, *, clock: Clock) -> None:
        self._credentials = credentials
        self._files = files
        self._clock = clock
        self._versions = itertools.count(1)

    def handler(self) -> "grpc.GenericRpcHandler[bytes, bytes]":
        """In bytes, as all handlers on Envoy's sockets; the messages are read here."""
        stream = grpc.stream_stream_rpc_method_handler(self._stream)
        return grpc.method_handlers_generic_handler(SERVICE, {"StreamSecrets": stream})

    async def _stream(self, requests: AsyncIterator[bytes], context: Context) -> None:
        stream = _Stream(context, self._files, self._version)
        try:
            async with Tasks() as tasks:
                pushing = [
                    tasks.start("sds-push", stream.push(self._credentials)),
                    tasks.start("sds-push-files", stream.push_files()),
                ]
                refusal = await stream.read(requests)
                for task in pushing:
                    task.cancel()
        finally:
            stream.end()
        if refusal is not None:
            log.warning("SDS: refused a stream: %s", refusal.why)
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, refusal.why)

    def _version(self) -> str:
        return f"{rfc3339(self._clock.now())}/{next(self._versions)}"


class _Stream:
    """Requests, credentials and files arrive in three tasks and take turns at the session and at writing."""

    def __init__(self, context: Context, files: FileSecrets, version: Callable[[], str]) -> None:
        self._context = context
        self._files = files
        self._version = version
        self._session = SdsSession(lambda: str(uuid.uuid4()))
        self._credential: Credential | None = None
        self._contents: dict[str, Content] = {}
        """What is served, or would be, by name."""
        self._held: set[str] = set()
        """Names of files that this stream has asked to be looked after."""
        self._turn = asyncio.Lock()

    async def read(self, requests: AsyncIterator[bytes]) -> Refuse | None:
        """Until Envoy ends the stream (None) or asks for something malformed."""
        async for data in requests:
            try:
                asked = _asked(wire.DiscoveryRequest.FromString(data))
            except DecodeError:
                return Refuse(why="not a DiscoveryRequest")
            async with self._turn:
                for answer in self._session.request(asked):
                    if isinstance(answer, Refuse):
                        return answer
                    await self._send(answer)
                self._note(asked)
                self._hold(name for name in self._session.wanted if name not in OWN)
                await self._send_files()
        return None

    async def push(self, credentials: Latest[Credential]) -> None:
        async for credential in credentials.changes():
            async with self._turn:
                names = secrets.changed(self._credential, credential)
                self._credential = credential
                self._contents |= {name: secrets.own(name, credential) for name in names}
                await self._send(*self._session.change(names))

    async def push_files(self) -> None:
        async for _ in self._files.news.changes():
            async with self._turn:
                await self._send_files()

    def end(self) -> None:
        self._hold(())

    def _hold(self, names: Iterable[str]) -> None:
        wanted = set(names)
        for name in wanted - self._held:
            self._files.want(name)
        for name in self._held - wanted:
            self._files.release(name)
            self._contents.pop(name, None)
            self._session.forget(name)
        self._held = wanted

    async def _send_files(self) -> None:
        """What has changed since it was sent last, and what is not there, once."""
        found = {name: self._files.found(name) for name in self._held}
        new = {
            name: each.content
            for name, each in found.items()
            if each.content is not None and each.content != self._contents.get(name)
        }
        self._contents |= new
        await self._send(*self._session.change(new))
        missing = {name: each.problem for name, each in found.items() if not each.content and each.problem}
        await self._send(*self._session.deny(missing))

    async def _send(self, *answers: Answer) -> None:
        for answer in answers:
            match answer:
                case Reply():
                    contents = [(name, self._contents[name]) for name in answer.names]
                    message = secrets.response(contents, version=self._version(), nonce=answer.nonce)
                    await self._context.write(message.SerializeToString())
                    for name in answer.names:
                        log.info("SDS: PUSH\tresource=%s", name)
                case Denial():
                    message = secrets.denial(answer.why, nonce=answer.nonce)
                    await self._context.write(message.SerializeToString())
                    log.info("SDS: DENY\tresource=%s", answer.name)

    def _note(self, asked: Asked) -> None:
        if asked.rejected and any(name in self._contents for name in asked.names):
            log.warning("SDS: Envoy rejected %s: %s", ",".join(asked.names), asked.rejected)


def _asked(request: wire.DiscoveryRequest) -> Asked:
    failed = request.HasField("error_detail")
    return Asked(
        node_id=request.node.id,
        names=tuple(request.resource_names),
        nonce=request.response_nonce,
        rejected=(request.error_detail.message or "without a reason") if failed else "",
    )
