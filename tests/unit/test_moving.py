"""When the machine's address is looked at."""

import asyncio
import itertools
import socket
from dataclasses import replace
from typing import Self

import pytest

from tests.unit.config import vm
from vmagent import moving
from vmagent.config.addresses import Changes
from vmagent.config.model import Config
from vmagent.errors import Unavailable
from vmagent.moving import BETWEEN, Moving


class Restless:
    """Something changes at every moment."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    async def happened(self, *, within: float) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.time = 0.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds
        await asyncio.sleep(0)


async def test_what_changes_all_the_time_is_looked_at_once_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving, "Changes", Restless)
    clock = Clock()
    looks: list[float] = []
    enough = asyncio.Event()

    async def place(config: Config) -> Config:
        looks.append(clock.time)
        if len(looks) == 10:
            enough.set()
        return config

    config = vm.config()
    task = asyncio.create_task(  # noqa: TID251  # as lifecycle does
        Moving(config, place, lambda _: None, clock=clock).run()
    )
    await enough.wait()
    task.cancel()
    assert [after - before for before, after in itertools.pairwise(looks)] == [BETWEEN] * 9


@pytest.mark.effects
async def test_a_thousand_changes_are_heard_of_once() -> None:
    kernel, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with kernel, Changes() as changes:
        changes._socket.close()
        ours.setblocking(False)
        changes._socket = ours
        for _ in range(100):
            kernel.send(b"a route")
        assert await changes.happened(within=5)
        assert not await changes.happened(within=0.01)


async def test_addresses_that_cannot_be_read_for_a_while_are_no_news(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(moving, "Changes", Restless)
    config = vm.config()
    there = replace(config, workload=replace(config.workload, ips=("192.168.0.7",)))
    looks, moved = itertools.count(), asyncio.Event()

    async def place(_: Config) -> Config:
        if next(looks) < 2:
            raise Unavailable("this machine's addresses cannot be read: Too many open files")
        return there

    task = asyncio.create_task(  # noqa: TID251  # as lifecycle does
        Moving(config, place, lambda _: moved.set(), clock=Clock()).run()
    )
    async with asyncio.timeout(10):
        await moved.wait()
    task.cancel()
    assert caplog.text.count("Too many open files; the address stays 192.168.0.204") == 1
