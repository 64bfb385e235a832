"""envoy.service.discovery.v3.AggregatedDiscoveryService over gRPC: who may open a stream, and one loop per
stream.

Owns:      authentication and authorization of streams, their gRPC statuses, and the list of connected
           proxies.
Does not:  decide what is sent when (session.py and its two variants), or what is in it (snapshot/).
"""

import asyncio
import functools
import itertools
import logging
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NoReturn, cast

import grpc
import grpc.aio

from lab.controlplane import type_urls
from lab.controlplane.authentication import AuthenticationFailed, Authenticator, Caller
from lab.controlplane.faults import Faults
from lab.controlplane.front import Peer
from lab.controlplane.proxy import BadNode, Proxy
from lab.controlplane.registrar import NoSuchGroup, NotAllowed, Registrar
from lab.controlplane.registry import Key
from lab.controlplane.session import (
    Accepted,
    Event,
    Refreshed,
    Rejected,
    ReportHealth,
    Respond,
    RespondDelta,
    Session,
)
from lab.controlplane.snapshot import Snapshot
from lab.controlplane.wire import DELTA, SOTW, Variant, written

log = logging.getLogger("ads")

SERVICE: Final = "envoy.service.discovery.v3.AggregatedDiscoveryService"

_END: Final = cast("object", grpc.aio.EOF)  # type: ignore[attr-defined]  # missing in grpc-stubs

_TOO_EARLY: Final = "server is not ready to serve discovery information"
_NOT_READY: Final = {SOTW.name: grpc.StatusCode.UNAVAILABLE, DELTA.name: grpc.StatusCode.UNKNOWN}
"""How istiod ends a stream that comes too early."""

Context = grpc.aio.ServicerContext[Any, Any]
Message = Any
"""A request of either variant."""
Build = Callable[[Proxy], Snapshot]


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """One stream, as others may look at it."""

    id: str
    variant: Variant
    proxy: Proxy
    caller: Caller
    since: int
    entry: Key | None
    """The WorkloadEntry it stands for."""
    session: Session
    stale: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the world changed."""

    @property
    def accepted(self) -> Mapping[str, str]:
        """Type URL to the version acknowledged last."""
        return {url: watch.accepted for url, watch in self.session.watches.items() if watch.accepted}

    @property
    def rejected(self) -> Mapping[str, str]:
        """Type URL to the reason why the newest answered response was refused."""
        return {url: watch.reason for url, watch in self.session.watches.items() if watch.rejected}


@dataclass(slots=True, kw_only=True)
class AdsService:
    authenticator: Authenticator
    registrar: Registrar
    build: Build
    peer: Callable[[str], Peer | None]
    faults: Faults
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

    def refresh(self) -> None:
        for connection in self.connections.values():
            connection.stale.set()

    async def stream(self, variant: Variant, _requests: object, context: Context) -> None:
        try:
            caller = self.authenticator.authenticate(
                self.peer(context.peer()), context.invocation_metadata() or ()
            )
        except AuthenticationFailed:
            await _abort(context, grpc.StatusCode.UNAUTHENTICATED, "authentication failure")
        if self.faults.refuse_streams:
            await _abort(
                context, _NOT_READY[variant.name], "server is not ready to serve discovery information"
            )
        first = await _first_request(context)
        if first is None:
            return
        connection = await self._admit(variant, first, caller, context)
        self.connections[connection.id] = connection
        log.info(
            "ADS: new %s connection\tconnection=%s\tidentity=%s", variant.name, connection.id, caller.identity
        )
        try:
            await self._serve(connection, first, context)
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
            session=variant.session(self.build(proxy), _nonces()),
        )

    async def _serve(self, connection: Connection, first: Message, context: Context) -> None:
        one_at_a_time = asyncio.Lock()

        async def perform(event: Event) -> None:
            async with one_at_a_time:
                for command in connection.session.on(event):
                    match command:
                        case Respond() | RespondDelta():
                            await self.faults.before_answer()
                            await context.write(written(command, versions=self.resource_versions))
                            _log_push(connection, command)
                        case ReportHealth():
                            self.registrar.reported(connection.entry, command)
                        case Accepted() | Rejected():
                            _log_answer(connection, command)

        async def push() -> None:
            while True:
                await connection.stale.wait()
                connection.stale.clear()
                await perform(Refreshed(snapshot=self.build(connection.proxy)))

        async with asyncio.TaskGroup() as group:
            pushing = group.create_task(push(), name=f"push {connection.id}")
            request = first
            while request is not _END:
                await perform(connection.variant.read(request))
                request = await context.read()
            pushing.cancel()


async def _first_request(context: Context) -> Message | None:
    """The one that carries the node. Health that is reported before it belongs to nobody and is passed
    over."""
    while (request := await context.read()) is not _END:
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


def _short(type_url: str) -> str:
    return type_url.rpartition(".")[2]


def _log_push(connection: Connection, command: Respond | RespondDelta) -> None:
    log.info(
        "push\ttype=%s\tconnection=%s\tresources=%d\tremoved=%d\tversion=%s",
        _short(command.type_url),
        connection.id,
        len(command.resources),
        len(command.removed) if isinstance(command, RespondDelta) else 0,
        command.version,
    )


def _log_answer(connection: Connection, answer: Accepted | Rejected) -> None:
    where = f"type={_short(answer.type_url)}\tconnection={connection.id}\tversion={answer.version}"
    if isinstance(answer, Rejected):
        log.warning("rejected\t%s\treason=%s", where, answer.reason)
    else:
        log.debug("accepted\t%s", where)


async def _abort(context: Context, code: grpc.StatusCode, text: str) -> NoReturn:
    await context.abort(code, text)
    raise AssertionError("abort returned")
