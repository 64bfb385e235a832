"""The upstream end: one stream to the control plane, reopened for ever.

Envoy keeps what it has while the stream is down; nothing here closes anything downstream.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import grpc
from google.protobuf.message import DecodeError

from vmagent._pb import wire_pb2 as wire
from vmagent.errors import Refused, Unavailable, VmagentError
from vmagent.identity.credential import KeyPair
from vmagent.identity.diagnose import why_unreachable
from vmagent.identity.endpoint import Endpoint
from vmagent.identity.trust import Roots
from vmagent.runtime.backoff import Backoff
from vmagent.runtime.clock import Clock
from vmagent.runtime.lifecycle import Tasks
from vmagent.xds import sotw
from vmagent.xds.hub import Hub, Outbox, Overflow
from vmagent.xds.session import Give

log = logging.getLogger("xdsproxy")

RETRY = Backoff(first=0.2, most=15.0, settled=30.0)
"""A control plane that restarts is back within seconds; a fleet must not knock on it all at once (jitter)."""

REFUSED_EVERY = 15.0
"""Seconds between attempts once the control plane has said no: only an edit on either side helps, and a new
token or certificate here wakes us at once.
"""

_OPTIONS = (
    ("grpc.keepalive_time_ms", 30_000),  # Istio's GRPC_KEEPALIVE_INTERVAL; below 15 s istiod hangs up
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.max_receive_message_length", -1),  # a push of all clusters of a large mesh is tens of megabytes
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),  # the control plane is not behind the web proxy of a login shell
)


Call: TypeAlias = "grpc.aio.StreamStreamCall[bytes, bytes]"


class _Ended(Exception):
    """The control plane closed the stream: the way out of the stream's tasks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamConfig:
    """``headers`` go along with every stream, names in lower case."""

    endpoint: Endpoint
    tls: bool = True
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Authentication:
    """What shows the control plane who we are, read afresh for each attempt. The certificate, if there is a
    valid one, goes beside the token.
    """

    roots: Roots
    token: str = field(default="", repr=False)
    pair: KeyPair | None = None


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
        self._use_pair = True

    def retry_now(self) -> None:
        """Something changed that may make the next attempt succeed, such as a new token."""
        self._again.set()

    async def run(self) -> None:
        delays = RETRY.delays()
        while True:
            began = self._clock.monotonic()
            problem = await self._attempt()
            self._trouble(problem)
            if self._clock.monotonic() - began > RETRY.settled:
                delays = RETRY.delays()
            await self._pause(REFUSED_EVERY if isinstance(problem, Refused) else next(delays))

    async def drain(self) -> None:
        """Nothing to finish: cancelling the stream is how the control plane learns that we left."""

    async def _pause(self, seconds: float) -> None:
        self._again.clear()
        try:
            await asyncio.wait_for(self._again.wait(), seconds)
        except TimeoutError:
            return

    async def _attempt(self) -> VmagentError:
        """One stream, from connecting to its end; says why it ended."""
        try:
            authentication = self._authenticate()
        except VmagentError as problem:
            return problem
        async with self._channel(authentication) as channel:
            open_stream = channel.stream_stream(sotw.UPSTREAM, bytes, bytes)
            call: Call = open_stream(metadata=self._metadata(authentication))  # type: ignore[call-arg]
            try:
                await call.wait_for_connection()
            except grpc.aio.AioRpcError as error:
                # A control plane that objects to the certificate ends the handshake without looking at the
                # token.
                self._use_pair = not self._use_pair
                found = await why_unreachable(
                    "control plane", self._config.endpoint, self._roots(authentication)
                )
                return found or self._explain(error.code(), error.details())
            return await self._talk(call)

    def _roots(self, authentication: Authentication) -> Roots | None:
        return authentication.roots if self._config.tls else None

    async def _talk(self, call: Call) -> VmagentError:
        log.info("connected to upstream XDS server: %s", self._config.endpoint)
        outbox = self._hub.open_upstream()
        try:
            async with Tasks() as tasks:
                tasks.start("xds-to-control-plane", self._send(outbox, call))
                await self._receive(outbox, call)
                raise _Ended
        except* _Ended:
            why = "closed the stream"
        except* grpc.aio.AioRpcError:
            why = ""
        except* (Overflow, DecodeError) as group:
            why = str(group.exceptions[0])
        finally:
            self._hub.close_upstream(outbox)
        if why:
            call.cancel()
            return Unavailable(f"control plane {self._config.endpoint}: {why}")
        return self._explain(await call.code(), await call.details())

    async def _receive(self, outbox: Outbox, call: Call) -> None:
        async for data in call:
            self._hub.from_upstream(outbox, sotw.decode_response(data))
            self._trouble(None)

    async def _send(self, outbox: Outbox, call: Call) -> None:
        node: wire.Node | None = self._node
        while True:
            ask = await outbox.get()
            assert not isinstance(ask, Give)
            await call.write(sotw.encode_request(ask, node))
            node = None

    def _metadata(self, authentication: Authentication) -> grpc.aio.Metadata:
        metadata = grpc.aio.Metadata(*((key.lower(), value) for key, value in self._config.headers))
        if authentication.token and self._config.tls:  # never in clear, unlike Istio's agent
            metadata.add("authorization", f"Bearer {authentication.token}")
        return metadata

    def _channel(self, authentication: Authentication) -> grpc.aio.Channel:
        endpoint = self._config.endpoint
        if not self._config.tls:
            return grpc.aio.insecure_channel(str(endpoint), _OPTIONS)
        pair = authentication.pair if self._use_pair else None
        credentials = grpc.ssl_channel_credentials(
            authentication.roots.pem, pair.key_pem if pair else None, pair.chain_pem if pair else None
        )
        options = (*_OPTIONS, ("grpc.ssl_target_name_override", endpoint.tls_name))
        return grpc.aio.secure_channel(str(endpoint), credentials, options)

    def _explain(self, code: grpc.StatusCode, details: str | None) -> VmagentError:
        """By status code, never by text; the text is the peer's own and goes along."""
        if code in _NO:
            return Refused(f"control plane {self._config.endpoint} refused us: {code.name}: {details}")
        verb = "is not reachable" if code in _AWAY else "ended the stream"
        return Unavailable(f"control plane {self._config.endpoint} {verb}: {code.name}: {details}")


_NO = frozenset(
    {
        grpc.StatusCode.UNAUTHENTICATED,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.INVALID_ARGUMENT,
    }
)
_AWAY = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})
