"""When a change is told, what a busy world costs, and who is kept waiting by whom."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from google.protobuf import any_pb2

from lab.controlplane import type_urls
from lab.controlplane.proxy import Proxy
from lab.controlplane.server import ControlPlane, running
from lab.controlplane.settings import Settings
from lab.controlplane.snapshot import Snapshot
from tests.flow.lab.client import delta_stream, stream
from tests.flow.lab.test_delta_streams import POD
from tests.flow.lab.test_streams import NGINX, SECOND_SERVICE, silence

LONG = 30.0
"""Seconds that no test waits for."""


def service(number: int) -> str:
    return SECOND_SERVICE.replace("second", f"service-{number}")


@asynccontextmanager
async def started(settings: Settings, **changes: Any) -> AsyncIterator[ControlPlane]:
    async with running(replace(settings, **changes)) as control_plane:
        await control_plane.until(lambda lab: not lab.connections)
        yield control_plane


async def test_changes_that_follow_one_another_are_one_push(settings: Settings) -> None:
    async with started(settings, debounce=0.3) as control_plane, delta_stream(control_plane) as mine:
        await mine.get(type_urls.CLUSTER)
        for number in range(5):
            control_plane.apply(service(number))
            await asyncio.sleep(0)
        assert len((await mine.next(type_urls.CLUSTER)).resources) == 5
        await silence(mine)


async def test_a_world_that_is_never_quiet_is_told_at_the_latest_after_the_longest_delay(
    settings: Settings,
) -> None:
    async with (
        started(settings, debounce=LONG, debounce_most=0.2) as control_plane,
        delta_stream(control_plane) as mine,
    ):
        await mine.get(type_urls.CLUSTER)
        control_plane.apply(service(1))
        await mine.next(type_urls.CLUSTER)


async def test_endpoints_need_not_wait_while_configuration_does(settings: Settings) -> None:
    control_settings = replace(settings, debounce=LONG, debounce_most=LONG, debounce_endpoints=False)
    async with running(control_settings) as control_plane, delta_stream(control_plane) as mine:
        await mine.get(type_urls.CLUSTER)
        await mine.get(type_urls.ENDPOINT, NGINX)
        control_plane.apply(POD)
        await mine.next(type_urls.ENDPOINT)
        control_plane.apply(service(1))
        await silence(mine)


async def test_endpoints_wait_like_everything_else_unless_told_otherwise(settings: Settings) -> None:
    async with (
        started(settings, debounce=LONG, debounce_most=LONG) as control_plane,
        delta_stream(control_plane) as mine,
    ):
        await mine.get(type_urls.ENDPOINT, NGINX)
        control_plane.apply(POD)
        await silence(mine)


@dataclass
class Big:
    """A world that is another one each time somebody looks, and weighs 2 MB."""

    built: int = 0

    def build(self, _: Proxy) -> Snapshot:
        self.built += 1
        cluster = any_pb2.Any(type_url=type_urls.CLUSTER, value=self.built.to_bytes(4) + bytes(2**21))
        return Snapshot.of_resources({type_urls.CLUSTER: {"big": cluster}})


@pytest.fixture
def world(control_plane: ControlPlane) -> Big:
    return Big()


@pytest.fixture
def big(control_plane: ControlPlane, world: Big) -> ControlPlane:
    control_plane.ads.build = world.build
    return control_plane


def pushes(control_plane: ControlPlane) -> int:
    return int(control_plane.metrics.pushes.values.get(("cds",), 0))


@pytest.mark.parametrize("opening", [stream, delta_stream], ids=["sotw", "delta"])
async def test_a_proxy_that_does_not_read_gets_the_newest_state_and_no_backlog(
    big: ControlPlane, world: Big, opening: Any
) -> None:
    async with opening(big) as mine:
        await mine.ask(type_urls.CLUSTER)
        await mine.answer()
        for _ in range(50):
            big.ads.refresh()
            await asyncio.sleep(0.01)
        sent = pushes(big)
        assert sent < 10, "what a client does not take is not sent"
        assert world.built < 15, "nor even built"

        got: list[int] = []
        while not got or got[-1] < world.built or big.connections[0].news.waiting:
            (resource,) = (await mine.answer()).resources
            got.append(int.from_bytes(getattr(resource, "resource", resource).value[:4]))
        assert len(got) < 15


async def test_a_slow_proxy_keeps_no_other_waiting(big: ControlPlane) -> None:
    async with stream(big) as slow, stream(big) as quick:
        await slow.ask(type_urls.CLUSTER)
        await quick.ask(type_urls.CLUSTER)
        await quick.answer()
        for _ in range(20):
            big.ads.refresh()
            await quick.answer()


async def test_a_slow_proxys_health_is_heard(big: ControlPlane) -> None:
    async with stream(big, PROXY_CONFIG={"readinessProbe": {"httpGet": {"port": 80}}}) as slow:
        await slow.ask(type_urls.CLUSTER)
        await slow.answer()
        for _ in range(20):
            big.ads.refresh()
            await asyncio.sleep(0.01)
        await slow.report("port 80 shut")
        connection = big.connections[0]
        assert connection.entry is not None
        key = connection.entry
        await big.until(lambda lab: "port 80 shut" in str(lab.document(*key)))


async def test_the_event_loop_stays_responsive_while_a_snapshot_is_built(
    control_plane: ControlPlane,
) -> None:
    def build(_: Proxy) -> Snapshot:
        end = time.monotonic() + 1.0
        while time.monotonic() < end:
            sum(range(1000))
        return Snapshot.of_resources({type_urls.CLUSTER: {"a": any_pb2.Any(type_url=type_urls.CLUSTER)}})

    control_plane.ads.build = build
    pauses = []

    async def tick() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.005)
            pauses.append(time.monotonic() - before)

    async with stream(control_plane) as mine, asyncio.TaskGroup() as group:
        ticking = group.create_task(tick())
        await mine.get(type_urls.CLUSTER)
        ticking.cancel()
    assert len(pauses) > 20
    assert max(pauses) < 0.3, "the loop stood still while the snapshot was built"
