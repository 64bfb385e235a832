"""Control planes and Envoys that come back, and who speaks the other variant meanwhile, on real sockets."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import grpc.aio
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.service.discovery.v3 import discovery_pb2

from tests.flow.envoy.parts import SERVICE
from tests.flow.xds.delta.conftest import on
from tests.flow.xds.delta.resources import CDS, EDS, cluster, clusters, names
from tests.flow.xds.istiod import Istiod
from tests.flow.xds.machine import Machine, until
from tests.ports import free_ports
from vmagent.envoy.bootstrap import EPOCH


async def test_a_control_plane_that_restarts_has_nothing_new_for_envoy_but_what_changed_meanwhile(
    istiod: Istiod, vm: Machine
) -> None:
    async with vm.delta_envoy() as envoy:
        await envoy.get(CDS)
        await envoy.get(EDS, "web", "db")
        await until(lambda: len(istiod.accepted) == 3)  # and the name table
        await istiod.stop()
        await until(lambda: not vm.hub.connected)
        istiod.change(CDS, {"new": cluster("new")}, "db")
        istiod.requests.clear()
        await istiod.start()
        response = await envoy.next(CDS)
        assert (names(response), list(response.removed_resources)) == (["new"], ["db"])
        assert sorted(names(await envoy.next(EDS))) == ["db", "web"], "a cluster may be waiting for them"
        for url in (CDS, EDS):
            assert dict(istiod.asked(url)[0].initial_resource_versions) == {"web": "", "db": ""}


async def test_a_control_plane_that_restarts_with_nothing_new_is_not_noticed_by_envoy(
    istiod: Istiod, vm: Machine
) -> None:
    async with vm.delta_envoy() as envoy:
        await envoy.get(CDS)
        await envoy.get(EDS, "web", "db")
        await until(lambda: len(istiod.accepted) == 3)  # and the name table
        await istiod.stop()
        await until(lambda: not vm.hub.connected)
        istiod.accepted.clear()
        await istiod.start()
        await until(lambda: len(istiod.accepted) >= 3)  # clusters, endpoints, names
        await istiod.push(CDS, clusters("new"))
        assert names(await envoy.next(CDS)) == ["new"], "the first that Envoy hears"


async def test_an_envoy_that_is_being_replaced_and_comes_back_late_leaves_its_successor_in_its_place(
    istiod: Istiod, vm: Machine
) -> None:
    """The agent was away: both ask for it again, each at its own time."""
    async with vm.delta_envoy(epoch=1) as successor, vm.delta_envoy(epoch=0) as replaced:
        await successor.get(CDS)
        await replaced.ask(CDS)
        await istiod.push(CDS, clusters("new"))
        assert names(await successor.next(CDS)) == ["new"]
        await successor.get(EDS, "web")
    told = [request.node for request in istiod.requests if request.HasField("node")]
    assert told
    assert not any(EPOCH in node.metadata for node in told), "it is nothing to the control plane"


async def test_of_two_envoys_the_one_that_tells_no_epoch_waits(istiod: Istiod, vm: Machine) -> None:
    """One whose agent was an older version: it is on its way out."""
    async with vm.delta_envoy(epoch=0) as successor, vm.delta_envoy() as replaced:
        await successor.get(CDS)
        await replaced.ask(CDS)
        await istiod.push(CDS, clusters("new"))
        assert names(await successor.next(CDS)) == ["new"]


async def test_a_stream_that_has_asked_for_nothing_yet_takes_nobodys_place(
    istiod: Istiod, vm: Machine
) -> None:
    """Whose it is, its first request tells."""
    async with vm.delta_envoy(epoch=0) as envoy, vm.delta_envoy(epoch=1):
        await envoy.get(CDS)
        await istiod.push(CDS, clusters("new"))
        assert names(await envoy.next(CDS)) == ["new"]


async def test_a_control_plane_that_knows_versions_sends_nothing_twice(tmp_path: Path) -> None:
    plane = Istiod(versions=True)
    plane.change(CDS, clusters("web", "db"))
    async with plane.running(), on(plane.port, tmp_path).running() as vm, vm.delta_envoy() as envoy:
        await envoy.get(CDS)
        await until(lambda: len(plane.accepted) == 2)
        await plane.stop()
        await until(lambda: not vm.hub.connected)
        plane.change(CDS, {"web": cluster("web", mark="2")})
        plane.requests.clear()
        await plane.start()
        assert names(await envoy.next(CDS)) == ["web"]
        assert all(plane.asked(CDS)[0].initial_resource_versions.values())


async def test_an_envoy_that_restarts_gets_everything_at_once_also_while_the_control_plane_is_away(
    istiod: Istiod, vm: Machine
) -> None:
    async with vm.delta_envoy() as envoy:
        await envoy.get(CDS)
        await envoy.get(EDS, "web")
        await istiod.push(CDS, {"web": cluster("web", mark="2")}, "db")
        await envoy.next(CDS)
    await istiod.stop()
    await until(lambda: not vm.hub.connected)
    async with vm.delta_envoy() as envoy, asyncio.timeout(1.0):
        [web] = (await envoy.get(CDS)).resources
        assert Cluster.FromString(web.resource.value).alt_stat_name == "2"
        assert names(await envoy.get(EDS, "web")) == ["web"]
    async with vm.envoy() as envoy, asyncio.timeout(1.0):
        assert len((await envoy.get(CDS)).resources) == 1, "in the other variant too"


async def test_an_envoy_whose_stream_broke_is_told_what_is_gone(istiod: Istiod, vm: Machine) -> None:
    async with vm.delta_envoy() as envoy:
        await envoy.ask(CDS, known={"web": "", "old": ""})
        response = await envoy.answer()
        assert sorted(names(response)) == ["db", "web"], "without versions nobody knows whether it has them"
        assert list(response.removed_resources) == ["old"]


async def test_a_control_plane_without_the_incremental_variant_is_spoken_to_in_the_other(
    tmp_path: Path,
) -> None:
    """And asked for it again whenever it comes back: it may have been brought up to date."""
    asked: list[str] = []
    [port] = free_ports(1)

    async def sotw(requests: AsyncIterator[bytes], _: object) -> AsyncIterator[bytes]:
        async for data in requests:
            request = discovery_pb2.DiscoveryRequest.FromString(data)
            asked.append(request.type_url)
            if not request.response_nonce:
                response = discovery_pb2.DiscoveryResponse(
                    type_url=request.type_url, nonce="1", version_info="1"
                )
                if request.type_url == CDS:
                    response.resources.add().Pack(cluster("web"))
                yield response.SerializeToString()

    old = grpc.aio.server(options=(("grpc.so_reuseport", 0),))
    methods = {"StreamAggregatedResources": grpc.stream_stream_rpc_method_handler(sotw)}
    old.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
    old.add_insecure_port(f"127.0.0.1:{port}")
    await old.start()
    async with on(port, tmp_path).running() as vm, vm.delta_envoy() as envoy:
        assert names(await envoy.get(CDS)) == ["web"]
        assert asked.count(CDS) >= 1
        assert vm.last == "", "nothing an operator would have to know"
        await old.stop(0)
        new = Istiod()
        new.port = port
        new.change(CDS, clusters("web", "new"))
        async with new.running():
            assert names(await envoy.next(CDS)) == ["new"]
            assert new.asked(CDS)
