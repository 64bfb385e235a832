"""A supervisor with a clock that does not tick and an Envoy that does what it is told."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.unit.envoy.examples import below
from vmagent.envoy.admin import Admin, Facts
from vmagent.envoy.config import Ports
from vmagent.envoy.launch import Record, Streams
from vmagent.envoy.process import Child
from vmagent.envoy.restarts import Restarts
from vmagent.envoy.states import State
from vmagent.envoy.supervisor import EnvoyState, Supervisor
from vmagent.errors import VmagentError
from vmagent.runtime.latest import Latest
from vmagent.runtime.lifecycle import Tasks

READY = Facts(state=0, workers_started=True, clusters=1, listeners=1)
WAITING = Facts(state=2)
PORTS = Ports(admin=1, health=2, prometheus=3)
"""Base id 1: no test may remove the shared memory of an Envoy that somebody runs."""


class FakeClock:
    """Sleeping takes no time and moves the hand."""

    def __init__(self) -> None:
        self.time = 1000.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += seconds
        await asyncio.sleep(0)


class FakeChild:
    pid = 0  # no process has it, so nothing is found in /proc

    def __init__(self) -> None:
        self.gone = asyncio.Event()
        self.log: list[str] = []

    async def wait(self) -> None:
        await self.gone.wait()

    async def stop(self, patience: float) -> str:
        self.log.append("TERM")
        self.exit()
        return "SIGTERM"

    def kill(self) -> None:
        if not self.gone.is_set():
            self.log.append("KILL")
            self.exit()

    def reopen_logs(self) -> None:
        self.log.append("USR1")

    def exit(self) -> None:
        self.gone.set()


class FakeAdmin(Admin):
    """Answers from ``answers``, the last one again and again; ``taken`` are ports that others hold."""

    def __init__(self, *answers: Facts | VmagentError) -> None:
        super().__init__("127.0.0.1", 1)
        self.answers = list(answers)
        self.taken: set[int] = set()
        self.connections = 0
        self.asked: list[str] = []
        self.counted = asyncio.Event()

    async def facts(self) -> Facts:
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, VmagentError):
            raise answer
        return answer

    async def drain_listeners(self, *, inbound_only: bool) -> None:
        self.asked.append("drain" if inbound_only else "drain all")

    async def active_connections(self, own_ports: frozenset[int]) -> int:
        self.asked.append("count")
        self.counted.set()
        return self.connections

    async def listening(self, port: int) -> bool:
        return port in self.taken


class World:
    def __init__(self, root: Path, admin: FakeAdmin, **changes: Any) -> None:
        self.clock = FakeClock()
        self.admin = admin
        self.children: list[FakeChild] = []
        self.born: Latest[int] = Latest()
        self.refusals: list[VmagentError] = []
        self.complaint = ""
        self.config = below(root, ports=PORTS, **changes)
        self.supervisor = Supervisor(
            self.config,
            clock=self.clock,
            restarts=Restarts(roll=lambda: 1.0),
            spawn=self.spawn,
            check=self.check,
            admin=admin,
        )

    async def spawn(
        self, argv: Sequence[str], env: Mapping[str, str], output: Streams | None, record: Record
    ) -> Child:
        if self.refusals:
            raise self.refusals.pop(0)
        self.children.append(FakeChild())
        self.born.publish(len(self.children))
        return self.children[-1]

    async def check(self, argv: Sequence[str], env: Mapping[str, str]) -> str:
        return self.complaint

    async def until(self, state: State, reason: str = "") -> EnvoyState:
        async with asyncio.timeout(5):
            async for found in self.supervisor.state.changes():
                if found.state is state and reason in found.reason:
                    return found
        raise AssertionError("changes() never ends")

    async def child(self, number: int) -> FakeChild:
        async with asyncio.timeout(5):
            async for count in self.born.changes():
                if count >= number:
                    return self.children[number - 1]
        raise AssertionError("changes() never ends")


@asynccontextmanager
async def running(world: World) -> AsyncIterator[World]:
    async with Tasks() as tasks:
        run = tasks.start("envoy", world.supervisor.run())
        try:
            yield world
        finally:
            run.cancel()
