"""Incremental xDS through the relay, on real sockets: a client in Envoy's place, and behind the agent a
control plane with istiod's habits (istiod.py).
"""

import grpc
import grpc.aio
import pytest
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig

from lab.controlplane import type_urls
from tests.flow.envoy.parts import SERVICE
from tests.flow.xds.delta.resources import CDS, EDS, cluster, endpoints, names, table
from tests.flow.xds.istiod import Istiod
from tests.flow.xds.machine import Machine, until

ECDS = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig"
WORKLOADS = "type.googleapis.com/istio.workload.Workload"


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
