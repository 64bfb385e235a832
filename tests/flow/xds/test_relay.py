"""What Envoy's side sees: a client with the public stubs on the unix socket, a control plane behind."""

import asyncio
from pathlib import Path

import grpc
import grpc.aio
import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.service.discovery.v3 import discovery_pb2

from lab.controlplane import type_urls
from lab.controlplane.server import ControlPlane
from tests.flow.lab.client import Ended, Stream
from tests.flow.lab.test_streams import NGINX, SECOND_SERVICE, endpoints
from tests.flow.xds.machine import Machine, machine, until

SECOND = "outbound|8080||second.jd.com"


def clusters(response: discovery_pb2.DiscoveryResponse) -> list[str]:
    return [cluster_pb2.Cluster.FromString(each.value).name for each in response.resources]


async def everything(envoy: Stream) -> None:
    await envoy.get(type_urls.CLUSTER)
    await envoy.get(type_urls.ENDPOINT, NGINX)
    await envoy.get(type_urls.LISTENER)
    await envoy.get(type_urls.ROUTE, "80")


async def test_the_configuration_is_there_before_envoy_asks_and_acknowledged_when_envoy_has_it(
    control_plane: ControlPlane, vm: Machine
) -> None:
    connection = control_plane.connections[0]
    await until(lambda: set(connection.accepted) == {type_urls.NAME_TABLE})
    assert vm.hub.tables.value is not None
    assert vm.hub.tables.value["nginx.jd.com"].ips == ("240.240.0.1",)
    async with vm.envoy() as envoy:
        await everything(envoy)
        await until(lambda: len(connection.accepted) == 5)
    assert connection.caller.by == "token"
    assert not connection.rejected


async def test_a_change_reaches_envoy_in_the_order_of_make_before_break(
    control_plane: ControlPlane, vm: Machine
) -> None:
    async with vm.envoy() as envoy:
        await everything(envoy)
        control_plane.apply(SECOND_SERVICE)
        order = list(type_urls.PUSH_ORDER[:4])
        if vm.delta:  # routes and endpoints are the same as before
            order = [type_urls.CLUSTER, type_urls.LISTENER]
        pushed = [await envoy.answer() for _ in order]
        assert [each.type_url for each in pushed] == order
        assert SECOND in clusters(pushed[0])
        await envoy.accept(pushed[0])
        await envoy.ask(type_urls.ENDPOINT, NGINX, SECOND)
        assert endpoints(await envoy.answer())[SECOND] == ["192.168.0.9"]
    table = vm.hub.tables.value
    assert table is not None
    assert table["second.jd.com"].ips == ("240.240.0.2",)


async def test_a_rejection_reaches_the_control_plane_and_the_last_good_version_goes_to_the_next_envoy(
    control_plane: ControlPlane, vm: Machine
) -> None:
    connection = control_plane.connections[0]
    async with vm.envoy() as envoy:
        good = await envoy.get(type_urls.CLUSTER)
        control_plane.apply(SECOND_SERVICE)
        bad = await envoy.answer()
        await envoy.ask(type_urls.CLUSTER, error="cannot load that filter")
        await until(lambda: connection.rejected == {type_urls.CLUSTER: "cannot load that filter"})
        assert connection.accepted[type_urls.CLUSTER] == good.version_info
    async with vm.envoy() as envoy:
        await envoy.ask(type_urls.CLUSTER)
        assert (await envoy.answer()).version_info == bad.version_info
        await envoy.ask(type_urls.CLUSTER, error="still not")
        again = await envoy.answer()
        assert (again.version_info, clusters(again)) == (good.version_info, clusters(good))


async def test_an_envoy_that_restarts_gets_everything_at_once_also_while_the_control_plane_is_away(
    control_plane: ControlPlane, vm: Machine
) -> None:
    async with vm.envoy() as envoy:
        await everything(envoy)
    await control_plane.stop()
    await until(lambda: not vm.hub.connected)
    async with vm.envoy() as envoy, asyncio.timeout(1.0):
        assert NGINX in clusters(await envoy.get(type_urls.CLUSTER))
        assert endpoints(await envoy.get(type_urls.ENDPOINT, NGINX)) == {NGINX: ["192.168.0.204"]}
        assert len((await envoy.get(type_urls.LISTENER)).resources) >= 3
        assert len((await envoy.get(type_urls.ROUTE, "80")).resources) == 1
    await control_plane.start()


async def test_a_control_plane_that_restarts_changes_nothing_but_what_changed_meanwhile(
    control_plane: ControlPlane, vm: Machine
) -> None:
    async with vm.envoy() as envoy:
        await everything(envoy)
        await control_plane.stop()
        (control_plane.settings.resources / "second.yaml").write_text(SECOND_SERVICE)
        await until(lambda: "control plane 127.0.0.1" in vm.last)
        await control_plane.start()
        heard: dict[str, discovery_pb2.DiscoveryResponse] = {}
        while len(heard) < (2 if vm.delta else 4):  # incrementally, of what has changed alone
            response = await envoy.answer()
            heard[response.type_url] = response
            await envoy.accept(response, *asked(response.type_url))
        assert SECOND in clusters(heard[type_urls.CLUSTER])
        if not vm.delta:
            assert endpoints(heard[type_urls.ENDPOINT]) == {NGINX: ["192.168.0.204"]}
        await until(lambda: len(control_plane.connections[0].accepted) == 5)
    assert len(control_plane.connections) == 1
    assert vm.last == ""


def asked(type_url: str) -> tuple[str, ...]:
    return {type_urls.ENDPOINT: (NGINX,), type_urls.ROUTE: ("80",)}.get(type_url, ())


async def test_a_second_envoy_takes_the_place_of_the_first_which_comes_back_when_the_second_is_gone(
    control_plane: ControlPlane, vm: Machine
) -> None:
    async with vm.envoy() as first:
        await first.get(type_urls.CLUSTER)
        async with vm.envoy() as second:
            await second.get(type_urls.CLUSTER)
            control_plane.apply(SECOND_SERVICE)
            assert SECOND in clusters(await second.answer())
            await first.ask(type_urls.CLUSTER, error="nobody listens to me")
        with pytest.raises(Ended) as ended:
            await first.answer()
        assert ended.value.args == (grpc.StatusCode.OK,)
    assert not control_plane.connections[0].rejected
    async with vm.envoy() as first:
        assert SECOND in clusters(await first.get(type_urls.CLUSTER))


async def test_ten_thousand_names_pass_in_both_directions(control_plane: ControlPlane, vm: Machine) -> None:
    wanted = [
        f"outbound|{number}||a-rather-long-name-of-a-service.{'x' * 60}.svc" for number in range(10_000)
    ]
    async with vm.envoy() as envoy:
        await envoy.get(type_urls.CLUSTER)
        await envoy.ask(type_urls.ENDPOINT, *wanted)
        assert len((await envoy.answer()).resources) == len(wanted)


async def test_garbage_from_envoy_ends_its_stream_and_nothing_else(
    control_plane: ControlPlane, vm: Machine
) -> None:
    method = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
    async with grpc.aio.insecure_channel(f"unix:{vm.socket}") as channel:
        call = channel.stream_stream(method, bytes, bytes)()  # type: ignore[call-arg]  # optional in fact
        await call.write(b"\xff\xff")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    async with vm.envoy() as envoy:
        await envoy.get(type_urls.CLUSTER)
    assert vm.hub.connected


async def test_a_connection_that_breaks_is_replaced_by_another_and_never_by_two(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    mine = machine(control_plane, tmp_path)
    async with mine.running():
        await mine.hub.complete.first()
        control_plane.drop_connections()
        await until(
            lambda: "ended the stream" in " ".join(mine.said) or "not reachable" in " ".join(mine.said)
        )
        await until(lambda: mine.last == "" and len(control_plane.connections) == 1)
