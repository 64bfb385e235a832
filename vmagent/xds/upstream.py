"""The upstream end: one stream to the control plane, reopened for ever.

Envoy keeps what it has while the stream is down; nothing here closes anything downstream.

Surprise: a control plane that does not speak the incremental variant is asked for state of the world at once,
and for the incremental one again when that stream ends: it may have learned it meanwhile.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import ModuleType
from typing import TypeAlias

import grpc
from google.protobuf.message import DecodeError

from vmagent._pb import wire_pb2 as wire
from vmagent.errors import Refused, Unavailable, VmagentError
from vmagent.identity import channel
from vmagent.identity.channel import Authentication as Authentication
from vmagent.identity.endpoint import Endpoint
from vmagent.runtime.backoff import Backoff
from vmagent.runtime.clock import Clock
from vmagent.runtime.lifecycle import Tasks
from vmagent.runtime.waiting import happens
from vmagent.xds import delta, sotw
from vmagent.xds.hub import Hub
from vmagent.xds.messages import Give
from vmagent.xds.outbox import Outbox
from vmagent.xds.relay import SERVICE

log = logging.getLogger("xdsproxy")

RETRY = Backoff(first=0.2, most=8.0, settled=30.0)
"""A control plane that restarts is back within seconds; a fleet must not knock on it all at once (jitter)."""

REFUSED_EVERY = 5.0
"""Seconds between attempts once the control plane has said no: only an edit on either side helps, and a new
token or certificate here wakes us at once.
"""

LONGEST_DETAIL = 300
"""Characters of a peer's explanation that we repeat, as for the CA."""

FIRST_ANSWER = 0.25
"""Seconds that the second request waits for an answer to the first. A refusal that arrives while we write is
lost: gRPC for Python then says INTERNAL, and an operator would not learn that the token is the matter.
"""

LARGEST_RESPONSE = 2**31 - 1
"""Bytes, as Istio's agent has it. A push of all clusters of a large mesh is tens of megabytes."""

WINDOW = 4 << 20
"""Bytes that the control plane may send before we have read (Istio's agent: 1 MiB; gRPC: 64 KiB until it has
learnt better): a first push waits for fewer round trips.
"""

_OPTIONS = (
    ("grpc.http2.lookahead_bytes", WINDOW),
    ("grpc.http2.max_pings_without_data", 0),  # else a quiet stream to a dead peer is pinged twice and kept
    ("grpc.max_receive_message_length", LARGEST_RESPONSE),
)


Call: TypeAlias = "grpc.aio.StreamStreamCall[bytes, bytes]"


class _Ended(Exception):
    """The control plane closed the stream, or we shall: the way out of the stream's tasks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamConfig:
    """``headers`` go along with every stream, names in lower case."""

    endpoint: Endpoint
    delta: bool = False
    """Speak the incremental variant, if the control plane does."""
    headers: tuple[tuple[str, str], ...] = ()
    keepalive: float = 30.0
    """Seconds of silence after which the peer is pinged; istiod hangs up on whoever pings every 15 s or
    less.
    """
    keepalive_timeout: float = 10.0


class Upstream:
    """A Part. ``authenticate`` raises VmagentError when there is nothing to show yet."""

    name = "xds"
    grace = 1.0

    def __init__(
        self,
        config: UpstreamConfig,
        hub: Hub,
        node: wire.Node,
        *,
        authenticate: Callable[[], Authentication],
        trouble: Callable[[VmagentError | None], None],
        clock: Clock,
    ) -> None:
        self._config = config
        self._hub = hub
        self._node = node
        self._authenticate = authenticate
        self._trouble = trouble
        self._clock = clock
        self._again = asyncio.Event()
        self._other = asyncio.Event()
        self._leave_pair_out = False
        self._leave_delta_out = False

    def retry_now(self) -> None:
        """Something changed that may make the next attempt succeed, such as a new token. To a stream that is
        open it means nothing.
        """
        if not self._hub.connected:
            self._again.set()

    def become(self, node: wire.Node) -> None:
        """Who we are is somebody else now: the stream that is open ends, and the next one says so."""
        self._node = node
        self._other.set()
        self._again.set()

    async def run(self) -> None:
        delays = RETRY.delays()
        while True:
            self._again.clear()
            self._other.clear()
            began = self._clock.monotonic()
            problem = await self._attempt(delta if self._speaks_delta() else sotw)
            if self._leave_delta_out or self._other.is_set():
                continue
            self._trouble(problem)
            if self._clock.monotonic() - began > RETRY.settled:
                delays = RETRY.delays()
            await self._pause(REFUSED_EVERY if isinstance(problem, Refused) else next(delays))

    async def drain(self) -> None:
        """Nothing to finish: cancelling the stream is how the control plane learns that we left."""

    async def _pause(self, seconds: float) -> None:
        """Cut short by ``retry_now``, also by one that came during the attempt."""
        await happens(self._again, within=seconds)

    def _speaks_delta(self) -> bool:
        left_out, self._leave_delta_out = self._leave_delta_out, False
        return self._config.delta and not left_out

    async def _attempt(self, codec: ModuleType) -> VmagentError:
        """One stream, from connecting to its end; says why it ended."""
        try:
            shown = self._authenticate()
        except VmagentError as problem:
            return problem
        if self._leave_pair_out:
            shown = replace(shown, pair=None)
        self._leave_pair_out = False
        async with self._channel(shown) as opened:
            open_stream = opened.stream_stream(f"/{SERVICE}/{codec.METHOD}", bytes, bytes)
            call: Call = open_stream(metadata=self._metadata(shown))  # type: ignore[call-arg]
            try:
                await call.wait_for_connection()
            except grpc.aio.AioRpcError as error:
                return await self._unconnected(shown, error)
            return await self._talk(codec, call, shown)

    async def _unconnected(self, shown: Authentication, error: grpc.aio.AioRpcError) -> VmagentError:
        """Where TLS works for anybody else, the control plane must object to our certificate: it then ends
        the handshake without looking at the token, which may be good.
        """
        from vmagent.identity.diagnose import why_unreachable  # with it comes OpenSSL

        found = await why_unreachable("control plane", self._config.endpoint, shown.roots)
        if found is None and shown.pair and shown.token:
            self._leave_pair_out = True
            self._again.set()
        return found or self._explain(error.code(), error.details(), shown)

    async def _talk(self, codec: ModuleType, call: Call, shown: Authentication) -> VmagentError:
        kind = "delta " if codec is delta else ""
        log.info("connected to %supstream XDS server: %s", kind, self._config.endpoint)
        outbox, heard = self._hub.open_upstream(delta=codec is delta), asyncio.Event()
        why = "closed the stream"
        try:
            async with Tasks() as tasks:
                tasks.start("xds-to-control-plane", self._send(codec, outbox, call, heard))
                tasks.start("xds-as-somebody-else", self._until_other())
                await self._receive(codec, outbox, call, heard)
                raise _Ended
        except* _Ended:
            call.cancel()
        except* grpc.aio.AioRpcError:
            why = ""
        except* DecodeError as group:
            call.cancel()
            why = f"cannot be understood: {group.exceptions[0]}"
        finally:
            self._hub.close_upstream(outbox)
        if why:
            return Unavailable(f"control plane {self._config.endpoint} {why}")
        code = await call.code()
        self._leave_delta_out = codec is delta and code is grpc.StatusCode.UNIMPLEMENTED
        return self._explain(code, await call.details(), shown)

    async def _until_other(self) -> None:
        await self._other.wait()
        raise _Ended

    async def _receive(self, codec: ModuleType, outbox: Outbox, call: Call, heard: asyncio.Event) -> None:
        async for data in call:
            heard.set()
            self._hub.from_upstream(outbox, codec.decode_response(data))
            await asyncio.sleep(0)  # whoever writes it to Envoy goes first
            self._trouble(None)

    async def _send(self, codec: ModuleType, outbox: Outbox, call: Call, heard: asyncio.Event) -> None:
        node: wire.Node | None = self._node
        while True:
            ask = await outbox.get()
            assert not isinstance(ask, Give)
            try:
                await call.write(codec.encode_request(ask, node))
            except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
                return  # the stream is over; whoever reads it learns why
            if node is not None:
                node = None
                await happens(heard, within=FIRST_ANSWER)

    def _metadata(self, authentication: Authentication) -> grpc.aio.Metadata:
        metadata = grpc.aio.Metadata(*((key.lower(), value) for key, value in self._config.headers))
        if authentication.token and authentication.roots:  # never in clear, unlike Istio's agent
            metadata.add("authorization", f"Bearer {authentication.token}")
        return metadata

    def _channel(self, authentication: Authentication) -> grpc.aio.Channel:
        options = (
            *_OPTIONS,
            ("grpc.keepalive_time_ms", round(self._config.keepalive * 1000)),
            ("grpc.keepalive_timeout_ms", round(self._config.keepalive_timeout * 1000)),
        )
        return channel.connect(self._config.endpoint, authentication, options)

    def _explain(self, code: grpc.StatusCode, details: str | None, shown: Authentication) -> VmagentError:
        """By status code, never by text; the text is the peer's own and goes along, cut and on one line."""
        said = f"{code.name}: {' '.join((details or '').split())[:LONGEST_DETAIL]}"
        if code in _NO:
            doubt = f" ({shown.doubt})" if shown.doubt else ""
            return Refused(f"control plane {self._config.endpoint} refused us: {said}{doubt}")
        verb = "is not reachable" if code in _AWAY else "ended the stream"
        return Unavailable(f"control plane {self._config.endpoint} {verb}: {said}")


_NO = frozenset(
    {
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.INVALID_ARGUMENT,
    }
)
_AWAY = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})
