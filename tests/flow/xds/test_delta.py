"""Incremental xDS through the relay, on real sockets: a client in Envoy's place, and behind the agent a
control plane with istiod's habits (istiod.py).
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import grpc.aio
import pytest
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.service.discovery.v3 import discovery_pb2

from lab.controlplane import type_urls
from lab.controlplane._pb import nds_pb2
from tests.flow.envoy.parts import SERVICE
from tests.flow.xds.istiod import Istiod
from tests.flow.xds.machine import Machine, until
from tests.ports import free_ports
from vmagent.identity.trust import Roots
from vmagent.xds.shelf import SMALL

CDS, EDS = type_urls.CLUSTER, type_urls.ENDPOINT
ECDS = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig"
WORKLOADS = "type.googleapis.com/istio.workload.Workload"


def cluster(name: str, size: int = 0, mark: str = "") -> Cluster:
    return Cluster(name=name, alt_stat_name=mark + "x" * size)


def clusters(*names: str) -> dict[str, Cluster]:
    return {name: cluster(name) for name in names}


def endpoints(name: str, region: str = "") -> ClusterLoadAssignment:
    made = ClusterLoadAssignment(cluster_name=name)
    made.endpoints.add().locality.region = region
    return made


def table(*hosts: str) -> nds_pb2.NameTable:
    made = nds_pb2.NameTable()
    for host in hosts:
        made.table[host].ips.append("10.0.0.1")
    return made


def names(response: discovery_pb2.DeltaDiscoveryResponse) -> list[str]:
    return [each.name for each in response.resources]


def on(port: int, folder: Path) -> Machine:
    return Machine(folder=folder, port=port, roots=Roots(pem=b"", path=Path("none")), tls=False, delta=True)


@pytest.fixture
async def istiod() -> AsyncIterator[Istiod]:
    plane = Istiod()
    plane.change(CDS, clusters("web", "db"))
    plane.change(type_urls.LISTENER, {})
    plane.change(EDS, {name: endpoints(name) for name in ("web", "db")})
    plane.change(type_urls.NAME_TABLE, {"": table("web.example")})
    async with plane.running():
        yield plane


@pytest.fixture
async def vm(istiod: Istiod, tmp_path: Path) -> AsyncIterator[Machine]:
    async with on(istiod.port, tmp_path).running() as machine:
        await machine.hub.complete.first()
        yield machine


async def test_the_configuration_is_there_before_envoy_asks_and_each_change_passes_alone(
    istiod: Istiod, vm: Machine
) -> None:
    assert vm.hub.tables.value is not None
    assert list(vm.hub.tables.value) == ["web.example"]
    async with vm.delta_envoy() as envoy:
        assert sorted(names(await envoy.get(CDS))) == ["db", "web"]
        assert sorted(names(await envoy.get(EDS, "web", "db"))) == ["db", "web"]
        await istiod.push(CDS, {"web": cluster("web", mark="2"), "new": cluster("new")}, "db")
        response = await envoy.next(CDS)
        assert sorted(names(response)) == ["new", "web"]
        assert list(response.removed_resources) == ["db"]
        await istiod.push(type_urls.NAME_TABLE, {"": table("web.example", "new.example")})
        await until(lambda: len(vm.hub.tables.value or ()) == 2)
        await until(lambda: response.nonce in istiod.accepted)
    assert not istiod.rejected


async def test_what_envoy_subscribes_to_and_gives_up_is_asked_for_and_given_up(
    istiod: Istiod, vm: Machine
) -> None:
    async with vm.delta_envoy() as envoy:
        await envoy.get(EDS, "web")
        await envoy.ask(EDS, "db", drop=("web",))
        assert names(await envoy.next(EDS)) == ["db"]
        await istiod.push(EDS, {"web": endpoints("web", "moved"), "db": endpoints("db", "moved")})
        assert names(await envoy.next(EDS)) == ["db"]
        first, change = (each for each in istiod.asked(EDS) if not each.response_nonce)
        assert list(first.resource_names_subscribe) == ["web"]
        assert list(change.resource_names_subscribe) == ["db"]
        assert list(change.resource_names_unsubscribe) == ["web"]


async def test_a_rejection_reaches_the_control_plane_with_its_reason(istiod: Istiod, vm: Machine) -> None:
    async with vm.delta_envoy() as envoy:
        await envoy.get(CDS)
        await istiod.push(CDS, {"web": cluster("web", mark="bad")})
        bad = await envoy.answer()
        await envoy.ask(CDS, nonce=bad.nonce, error="cannot load that filter")
        await until(lambda: istiod.rejected == ["cannot load that filter"])
    async with vm.delta_envoy() as envoy:
        await envoy.ask(CDS)
        response = await envoy.answer()
        assert sorted(names(response)) == ["db", "web"]
        await envoy.ask(CDS, nonce=response.nonce, error="still not")
        again = await envoy.answer()
        assert names(again) == ["web"], "the last good one, in place of what it rejected"
        assert Cluster.FromString(again.resources[0].resource.value).alt_stat_name == ""


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


@pytest.mark.parametrize("url", [ECDS, WORKLOADS], ids=["ECDS", "workloads"])
async def test_types_that_only_envoy_knows_pass_and_are_held(istiod: Istiod, vm: Machine, url: str) -> None:
    istiod.change(url, {"one": TypedExtensionConfig(name="one")})
    wanted = ("one",) if url == ECDS else ()
    async with vm.delta_envoy() as envoy:
        assert names(await envoy.get(url, *wanted)) == ["one"]
        await istiod.push(url, {"one": TypedExtensionConfig(name="one")})
        assert names(await envoy.next(url)) == ["one"]
    await istiod.stop()
    async with vm.delta_envoy() as envoy:
        assert names(await envoy.get(url, *wanted)) == ["one"]


async def test_health_is_told_incrementally(istiod: Istiod, vm: Machine) -> None:
    vm.hub.report_health("connection refused")
    await until(lambda: istiod.asked(type_urls.HEALTH))
    assert istiod.asked(type_urls.HEALTH)[0].error_detail.message == "connection refused"
    assert not istiod.rejected


async def test_garbage_from_envoy_ends_its_stream_and_nothing_else(istiod: Istiod, vm: Machine) -> None:
    async with grpc.aio.insecure_channel(f"unix:{vm.socket}") as channel:
        call = channel.stream_stream(f"/{SERVICE}/DeltaAggregatedResources", bytes, bytes)()  # type: ignore[call-arg]  # optional in fact
        await call.write(b"\xff\xff")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    async with vm.delta_envoy() as envoy:
        await envoy.get(CDS)
    assert vm.hub.connected


async def test_what_is_held_lies_on_disk_once_nothing_happens_and_goes_to_the_next_envoy(
    istiod: Istiod, vm: Machine
) -> None:
    large = {f"c{number}": cluster(f"c{number}", SMALL // 8) for number in range(40)}
    async with vm.delta_envoy() as envoy:
        await envoy.get(CDS)
        await istiod.push(CDS, large)
        await envoy.next(CDS)
        await until(lambda: _in_memory(vm) < SMALL)
        await istiod.push(CDS, {"c7": cluster("c7", 10)})
        await envoy.next(CDS)
    async with vm.delta_envoy() as envoy:
        found = {each.name: each.resource.value for each in (await envoy.get(CDS)).resources}
    expected = {name: each.SerializeToString() for name, each in large.items()}
    assert found == {
        **expected,
        "c7": cluster("c7", 10).SerializeToString(),
        "web": cluster("web").SerializeToString(),
        "db": cluster("db").SerializeToString(),
    }


def _in_memory(vm: Machine) -> int:
    blobs = {id(piece.blob): piece.blob for held in vm.hub.held for piece in held.all_pieces()}
    return sum(blob.size for blob in blobs.values() if blob.in_memory)


async def test_ten_thousand_names_and_thirty_megabytes_pass_in_both_directions(
    istiod: Istiod, vm: Machine
) -> None:
    many = [f"outbound|{number}||{'x' * 60}.svc" for number in range(10_000)]
    istiod.change(EDS, {name: endpoints(name, "r" * 3000) for name in many})
    async with vm.delta_envoy() as envoy:
        response = await envoy.get(EDS, *many)
        assert len(response.resources) == len(many)
        assert response.ByteSize() > 30_000_000
        await until(lambda: response.nonce in istiod.accepted, within=15)
        await istiod.stop()
        await until(lambda: not vm.hub.connected)
        istiod.requests.clear()
        await istiod.start()
        await until(lambda: istiod.asked(EDS), within=15)
        assert len(istiod.asked(EDS)[0].initial_resource_versions) == len(many)
