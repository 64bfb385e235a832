"""An Envoy that does not keep up, on the real socket; the test itself is the control plane."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import grpc.aio
import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2

from lab.controlplane import type_urls
from tests.flow.lab.client import Stream
from tests.flow.xds.machine import until
from vmagent.runtime.lifecycle import Tasks
from vmagent.sockets import EnvoySockets
from vmagent.xds import sotw
from vmagent.xds.hub import Hub
from vmagent.xds.outbox import Outbox
from vmagent.xds.relay import Relay

SIZE = 100_000
"""Bytes of a response: more than HTTP/2 lets a peer send that nobody reads."""


@dataclass
class Alone:
    hub: Hub
    upstream: Outbox
    socket: Path

    def push(self, version: str) -> None:
        cluster = cluster_pb2.Cluster(name="big", alt_stat_name="x" * SIZE)
        response = discovery_pb2.DiscoveryResponse(
            version_info=version, type_url=type_urls.CLUSTER, nonce=version
        )
        response.resources.add().Pack(cluster)
        self.hub.from_upstream(self.upstream, sotw.decode_response(response.SerializeToString()))

    @contextlib.asynccontextmanager
    async def envoy(self) -> AsyncIterator[Stream]:
        async with grpc.aio.insecure_channel(f"unix:{self.socket}") as channel:
            call = ads_pb2_grpc.AggregatedDiscoveryServiceStub(channel).StreamAggregatedResources()
            yield Stream(call=call, first_node=None)


@pytest.fixture
async def alone(tmp_path: Path) -> AsyncIterator[Alone]:
    hub, socket = Hub(name_tables=False), tmp_path / "proxy" / "XDS"
    sockets = EnvoySockets({socket: Relay(hub).handler()}, print)
    async with Tasks() as tasks:
        serving = tasks.start("sockets", sockets.run())
        await until(socket.exists)
        yield Alone(hub, hub.open_upstream(), socket)
        await sockets.drain()
        serving.cancel()


async def test_an_envoy_that_does_not_read_finds_the_newest_when_it_goes_on(alone: Alone) -> None:
    many = 200
    async with alone.envoy() as envoy:
        alone.push("first")
        await envoy.get(type_urls.CLUSTER)
        for number in range(many):
            alone.push(f"v{number}")
            await asyncio.sleep(0)  # the writer gets its turn
        received: list[str] = []
        while not received or received[-1] != f"v{many - 1}":
            received.append((await envoy.answer()).version_info)
        assert len(received) < many / 4, "what was overtaken while nobody read is left out"
        assert len(alone.upstream) == 2, "one request of each type waits, since nobody reads there either"
        await envoy.ask(type_urls.CLUSTER)
        await until(lambda: alone.hub.versions["Cluster"] == f"v{many - 1}")


async def test_an_envoy_that_vanishes_in_the_middle_of_a_response_leaves_no_trace(
    alone: Alone, caplog: pytest.LogCaptureFixture
) -> None:
    for life in range(5):
        async with alone.envoy() as envoy:
            await envoy.ask(type_urls.CLUSTER)
            alone.push(f"{life}")
            await envoy.answer()
            for number in range(10):
                alone.push(f"{life}-{number}")
                await asyncio.sleep(0)
    async with alone.envoy() as envoy:
        await envoy.ask(type_urls.CLUSTER)
        assert (await envoy.answer()).version_info == "4-9"
    assert not [record for record in caplog.records if record.exc_info]
    assert not [record for record in caplog.records if record.name.startswith("grpc")]


async def test_the_sockets_are_gone_after_a_drain_although_an_envoy_holds_its_stream(tmp_path: Path) -> None:
    hub = Hub(name_tables=False)
    paths = tmp_path / "a" / "XDS", tmp_path / "b" / "XDS"
    sockets = EnvoySockets({path: Relay(hub).handler() for path in paths}, print)
    async with Tasks() as tasks:
        serving = tasks.start("sockets", sockets.run())
        await until(lambda: all(path.exists() for path in paths))
        assert (paths[0].stat().st_mode & 0o777, paths[0].parent.stat().st_mode & 0o777) == (0o600, 0o700)
        one, other = (Alone(hub, hub.open_upstream(), path) for path in paths)
        async with one.envoy() as first, other.envoy() as second:
            await first.ask(type_urls.CLUSTER)
            await second.ask(type_urls.CLUSTER)
            await until(lambda: hub.requests >= 1)
            async with asyncio.timeout(sockets.grace):
                await sockets.drain()
        serving.cancel()
    assert not [path for path in paths if path.exists()]
