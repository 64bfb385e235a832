"""An Envoy that does not keep up, on the real socket; the test itself is the control plane."""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.service.discovery.v3 import ads_pb2_grpc, discovery_pb2

from lab.controlplane import type_urls
from tests.flow.lab.client import DeltaStream, Stream
from tests.flow.xds.machine import until
from vmagent.runtime.lifecycle import Tasks
from vmagent.sockets import EnvoySockets
from vmagent.xds import delta, sotw
from vmagent.xds.hub import Hub
from vmagent.xds.outbox import Outbox
from vmagent.xds.relay import Relay
from vmagent.xds.resources import Blob

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

    def push_delta(self, version: str, *names: str, removed: tuple[str, ...] = ()) -> None:
        response = discovery_pb2.DeltaDiscoveryResponse(
            system_version_info=version, type_url=type_urls.CLUSTER, nonce=version, removed_resources=removed
        )
        for name in names:
            cluster = cluster_pb2.Cluster(name=name, alt_stat_name="x" * SIZE)
            response.resources.add(name=name, version=version).resource.Pack(cluster)
        self.hub.from_upstream(self.upstream, delta.decode_response(response.SerializeToString()))

    @property
    def kept(self) -> int:
        """Bytes of responses that are in memory for Envoy, waiting and held."""
        gc.collect()
        return sum(each.size for each in gc.get_objects() if isinstance(each, Blob))

    @contextlib.asynccontextmanager
    async def envoy(self) -> AsyncIterator[Stream]:
        async with grpc.aio.insecure_channel(f"unix:{self.socket}") as channel:
            call = ads_pb2_grpc.AggregatedDiscoveryServiceStub(channel).StreamAggregatedResources()
            yield Stream(call=call, first_node=None)

    @contextlib.asynccontextmanager
    async def delta_envoy(self) -> AsyncIterator[DeltaStream]:
        async with grpc.aio.insecure_channel(f"unix:{self.socket}") as channel:
            call = ads_pb2_grpc.AggregatedDiscoveryServiceStub(channel).DeltaAggregatedResources()
            yield DeltaStream(call=call, first_node=None)


@pytest.fixture
async def alone(tmp_path: Path) -> AsyncIterator[Alone]:
    hub, socket = Hub(name_tables=False), tmp_path / "proxy" / "XDS"
    sockets = EnvoySockets({socket: Relay(hub).handler()}, print)
    async with Tasks() as tasks:
        serving = tasks.start("sockets", sockets.run())
        await until(socket.exists)
        yield Alone(hub, hub.open_upstream(), socket)  # each test says in which variant it pushes
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


async def test_an_envoy_that_does_not_read_finds_the_newest_of_each_resource_when_it_goes_on(
    alone: Alone,
) -> None:
    """Incrementally: what it missed comes in one response, and costs what the resources cost."""
    many, names, before = 400, [f"c{number}" for number in range(5)], alone.kept
    async with alone.delta_envoy() as envoy:
        alone.push_delta("first", *names)
        await envoy.get(type_urls.CLUSTER)
        for number in range(many):
            alone.push_delta(f"v{number}", names[number % 4], *(["c4"] if number < 50 else []))
            await asyncio.sleep(0)  # the writer gets its turn
        alone.push_delta("last", "c0", removed=("c4",))
        assert alone.kept - before < 40 * SIZE, "a few versions of five resources, of four hundred"
        received: list[Any] = []
        while not received or received[-1].system_version_info != "last":
            received.append(await envoy.answer())
        assert len(received) < many / 4, "what was overtaken while nobody read is left out"
        newest = {each.name: each.version for response in received for each in response.resources}
        del newest["c4"]
        assert newest == {"c0": "last", "c1": "v397", "c2": "v398", "c3": "v399"}
        assert list(received[-1].removed_resources) == ["c4"]
        assert len(alone.upstream) == 2, "one request of each type waits, since nobody reads there either"
        await envoy.accept(received[-1])
        await until(lambda: alone.hub.versions["Cluster"] == "last")


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
