"""envoy.service.discovery.v3.AggregatedDiscoveryService over gRPC: who may open a stream.

Owns:      authentication and authorization of streams, their gRPC statuses, and the list of connected
           proxies.
Does not:  know what happens on a stream (stream.py), what is sent when (session.py), or what is in it
           (snapshot/).
"""

import asyncio
import functools
import itertools
import logging
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn

import grpc
import grpc.aio

from lab.controlplane import type_urls
from lab.controlplane.authentication import AuthenticationFailed, Authenticator, Caller
from lab.controlplane.builder import Builder
from lab.controlplane.connection import Connection
from lab.controlplane.faults import Faults
from lab.controlplane.front import Peer
from lab.controlplane.pilot_metrics import PilotMetrics
from lab.controlplane.proxy import BadNode, Proxy
from lab.controlplane.registrar import NoSuchGroup, NotAllowed, Registrar
from lab.controlplane.session import ReportHealth
from lab.controlplane.snapshot import Snapshot
from lab.controlplane.stream import END, Context, Message, Stream
from lab.controlplane.wire import DELTA, SOTW, Variant

log = logging.getLogger("ads")

SERVICE: Final = "envoy.service.discovery.v3.AggregatedDiscoveryService"

_TOO_EARLY: Final = "server is not ready to serve discovery information"
_NOT_READY: Final = {SOTW.name: grpc.StatusCode.UNAVAILABLE, DELTA.name: grpc.StatusCode.UNKNOWN}
"""How istiod ends a stream that comes too early."""


@dataclass(slots=True, kw_only=True)
class AdsService:
    authenticator: Authenticator
    registrar: Registrar
    build: Callable[[Proxy], Snapshot]
    """Called in the builder's thread."""
    builder: Builder
    peer: Callable[[str], Peer | None]
    faults: Faults
    metrics: PilotMetrics
    now: Callable[[], int]
    resource_versions: bool = True
    """Whether the resources of a delta response carry versions. Those of istiod 1.29 do not."""
    connections: dict[str, Connection] = field(default_factory=dict)
    closing: bool = False
    """We are leaving: streams that end now say nothing about their machines."""
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def handler(self) -> "grpc.GenericRpcHandler[Any, Any]":
        methods = {
            variant.method: grpc.stream_stream_rpc_method_handler(
                functools.partial(self.stream, variant), request_deserializer=variant.parse
            )
            for variant in (SOTW, DELTA)
        }
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    def refresh(self, *, changed: float | None = None) -> None:
        """Everybody is to look at the world again. ``changed``: the event loop's time of the first change
        since the last refresh."""
        now = asyncio.get_running_loop().time()
        for connection in self.connections.values():
            connection.news.tell(changed=now if changed is None else changed, due=now)

    async def stream(self, variant: Variant, _requests: object, context: Context) -> None:
        try:
            caller = self.authenticator.authenticate(
                self.peer(context.peer()), context.invocation_metadata() or ()
            )
        except AuthenticationFailed:
            await _abort(context, grpc.StatusCode.UNAUTHENTICATED, "authentication failure")
        if self.faults.refuse_streams:
            await _abort(context, _NOT_READY[variant.name], _TOO_EARLY)
        first = await _first_request(context)
        if first is None:
            return
        connection = await self._admit(variant, first, caller, context)
        self.connections[connection.id] = connection
        log.info(
            "ADS: new %s connection\tconnection=%s\tidentity=%s", variant.name, connection.id, caller.identity
        )
        try:
            await self._open(connection, context).serve(first)
        finally:
            del self.connections[connection.id]
            log.info("ADS: connection ended\tconnection=%s", connection.id)
            if connection.entry is not None and not self.closing:
                self.registrar.disconnected(connection.entry, connection.id)

    async def _admit(self, variant: Variant, first: Message, caller: Caller, context: Context) -> Connection:
        try:
            proxy = Proxy.parse(first.node)
        except BadNode as why:
            await _abort(context, grpc.StatusCode.INVALID_ARGUMENT, str(why))
        if problem := _authorization_problem(caller, proxy):
            log.warning("refused\tnode=%s\tpeer=%s\treason=%s", first.node.id, caller.address, problem)
            await _abort(context, grpc.StatusCode.PERMISSION_DENIED, f"authorization failed: {problem}")
        name = f"{proxy.name}-{next(self._ids)}"
        try:
            entry = self.registrar.connected(proxy, caller.identity, name)
        except NoSuchGroup as why:
            await _abort(context, grpc.StatusCode.FAILED_PRECONDITION, str(why))
        except NotAllowed as why:
            await _abort(context, grpc.StatusCode.UNKNOWN, str(why))
        return Connection(
            id=name,
            variant=variant,
            proxy=proxy,
            caller=caller,
            since=self.now(),
            entry=entry,
            session=variant.session(_nonces()),
        )

    def _open(self, connection: Connection, context: Context) -> Stream:
        def report(health: ReportHealth) -> None:
            self.registrar.reported(connection.entry, health)

        return Stream(
            connection=connection,
            context=context,
            build=lambda: self.builder.run(lambda: self.build(connection.proxy)),
            report=report,
            faults=self.faults,
            metrics=self.metrics,
            versions=self.resource_versions,
            now=self.now,
        )


async def _first_request(context: Context) -> Message | None:
    """The one that carries the node. Health that is reported before it belongs to nobody and is passed
    over."""
    while (request := await context.read()) is not END:
        if request.type_url != type_urls.HEALTH or request.node.id:
            return request
        log.warning("health report before the first request, ignored")
    return None


def _authorization_problem(caller: Caller, proxy: Proxy) -> str:
    """A proxy speaks for the namespace and account of its identity, and for no other."""
    identity = caller.identity
    if identity.namespace != proxy.namespace:
        return f"no identities of {identity} matched namespace {proxy.namespace!r}"
    if proxy.service_account and identity.account != proxy.service_account:
        return f"no identities of {identity} matched service account {proxy.service_account!r}"
    return ""


def _nonces() -> Iterator[str]:
    stream = uuid.uuid4().hex[:12]
    return (f"{stream}-{number}" for number in itertools.count(1))


async def _abort(context: Context, code: grpc.StatusCode, text: str) -> NoReturn:
    await context.abort(code, text)
    raise AssertionError("abort returned")
