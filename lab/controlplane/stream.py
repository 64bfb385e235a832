"""The life of one ADS stream: requests in, responses out, pushes between them.

Owns:      who may wait for whom. A response is written while the next request is read, but not many: a
           client that does not take its responses is not read from either. A push begins when everything
           before it was taken, so a slow proxy gets the newest state and never a backlog.
Does not:  decide what is sent (session.py), or hold it.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final, cast

import grpc
import grpc.aio

from lab.controlplane.connection import Connection, Sent
from lab.controlplane.faults import Faults
from lab.controlplane.pilot_metrics import PilotMetrics, short
from lab.controlplane.session import (
    Accepted,
    Command,
    Outdated,
    Refreshed,
    Rejected,
    ReportHealth,
    Respond,
    RespondDelta,
)
from lab.controlplane.snapshot import Snapshot
from lab.controlplane.wire import written

log = logging.getLogger("ads")

END: Final = cast("object", grpc.aio.EOF)  # type: ignore[attr-defined]  # missing in grpc-stubs

MAX_WAITING: Final = 16
"""Responses that may wait to be taken before the client's next request is read."""

_GARBAGE: Final = b"\xff this is no protobuf"

MANY: Final = 200
"""Resources that are put together beside the event loop, which they would keep waiting."""

Context = grpc.aio.ServicerContext[Any, Any]
Message = Any
"""A request of either variant."""

Build = Callable[[], Awaitable[Snapshot]]


@dataclass(slots=True, kw_only=True)
class Stream:
    connection: Connection
    context: Context
    build: Build
    report: Callable[[ReportHealth], None]
    faults: Faults
    metrics: PilotMetrics
    versions: bool
    """Whether the resources of a delta response carry theirs."""
    now: Callable[[], int]
    _outbox: "asyncio.Queue[tuple[float, Respond | RespondDelta]]" = field(default_factory=asyncio.Queue)

    async def serve(self, first: Message) -> None:
        """Until the client ends it, or a fault does."""
        self._perform(self.connection.session.on(Refreshed(snapshot=await self.build())))
        try:
            async with asyncio.TaskGroup() as group:
                name = self.connection.id
                tasks = [
                    group.create_task(self._push(), name=f"push {name}"),
                    group.create_task(self._write(), name=f"write {name}"),
                ]
                ends = [
                    group.create_task(self._read(first), name=f"read {name}"),
                    group.create_task(self.faults.stream_is_old(), name=f"age {name}"),
                ]
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                for task in (*tasks, *ends):
                    task.cancel()
        except* grpc.aio.InternalError as why:  # a write or read after the client went away
            log.debug("connection lost\tconnection=%s\treason=%s", self.connection.id, why.exceptions)

    async def _read(self, request: Message) -> None:
        connection = self.connection
        while request is not END:
            self._perform(connection.session.on(connection.variant.read(request)))
            if self._outbox.qsize() >= MAX_WAITING:
                await self._outbox.join()
            request = await self.context.read()
        await self._outbox.join()

    async def _push(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            await self.connection.news.come()
            await self._outbox.join()
            changed, due = self.connection.news.take()
            self.metrics.queue_time.observe(clock() - due)
            self._perform(self.connection.session.on(Refreshed(snapshot=await self.build())))
            await self._outbox.join()
            self.metrics.convergence.observe(clock() - changed)

    def _perform(self, commands: list[Command]) -> None:
        """In one go: what a session says in this order leaves in this order."""
        for command in commands:
            match command:
                case Respond() | RespondDelta():
                    self._outbox.put_nowait((asyncio.get_running_loop().time(), command))
                case ReportHealth():
                    self.report(command)
                case Accepted() | Rejected() | Outdated():
                    self._note(command)

    async def _write(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            due, command = await self._outbox.get()
            data = await self._written(command)
            await self.faults.before_answer()
            began = clock()
            await self.context.write(data)
            self.metrics.send_time.observe(clock() - began)
            self._sent(command, len(data), clock() - due)
            self._outbox.task_done()

    async def _written(self, command: Respond | RespondDelta) -> bytes:
        if self.faults.garbage == "message":
            return _GARBAGE
        if len(command.resources) < MANY:
            return written(command, versions=self.versions)
        return await asyncio.to_thread(written, command, versions=self.versions)

    def _sent(self, command: Respond | RespondDelta, size: int, took: float) -> None:
        kind = short(command.type_url)
        self.metrics.pushes.add(kind)
        self.metrics.push_time.observe(took, kind)
        self.metrics.config_size.observe(size, kind)
        sent = self.connection.sent[command.type_url] = Sent(
            version=command.version,
            nonce=command.nonce,
            at=self.now(),
            resources=len(command.resources),
            removed=len(command.removed) if isinstance(command, RespondDelta) else 0,
            size=size,
        )
        log.info(
            "push\ttype=%s\tconnection=%s\tresources=%d\tremoved=%d\tsize=%d\tversion=%s",
            kind,
            self.connection.id,
            sent.resources,
            sent.removed,
            size,
            sent.version,
        )

    def _note(self, answer: Accepted | Rejected | Outdated) -> None:
        where = f"type={short(answer.type_url)}\tconnection={self.connection.id}"
        match answer:
            case Accepted(version=version):
                log.debug("accepted\t%s\tversion=%s", where, version)
            case Rejected(version=version, reason=reason):
                log.warning("rejected\t%s\tversion=%s\treason=%s", where, version, reason)
                self.metrics.rejected(answer.type_url, self.connection.proxy.name, answer.code)
            case Outdated():
                self.metrics.expired_nonces.add(short(answer.type_url))
