"""Delta ADS as a proxy meets it: what comes, what is pushed, and what a reconnect costs."""

from dataclasses import replace

import grpc
import grpc.aio
import pytest

from lab.controlplane import type_urls
from lab.controlplane.server import ControlPlane, running
from lab.controlplane.settings import Settings
from tests.flow.lab.client import DeltaStream, delta_stream, stream
from tests.flow.lab.test_streams import NGINX, SECOND_SERVICE, endpoints, names, silence

SECOND = "outbound|8080||second.jd.com"
POD = """
apiVersion: v1
kind: Pod
metadata: {name: docker, namespace: istio-demo, labels: {app: nginx}}
spec: {serviceAccountName: vm}
status: {podIP: 192.168.0.20}
"""


async def subscribed(mine: DeltaStream) -> None:
    """To everything, as Envoy with the story's configuration is."""
    await mine.get(type_urls.CLUSTER)
    await mine.get(type_urls.ENDPOINT, NGINX)
    await mine.get(type_urls.LISTENER)
    await mine.get(type_urls.ROUTE, "80")
    await mine.get(type_urls.NAME_TABLE)


class _Values:
    """The resources of a delta response as those of one of the other variant."""

    def __init__(self, response: object) -> None:
        self.resources = [each.resource for each in response.resources]  # type: ignore[attr-defined]  # no stubs


async def test_a_proxy_gets_every_type_it_asks_for(control_plane: ControlPlane) -> None:
    async with delta_stream(control_plane) as mine:
        clusters = await mine.get(type_urls.CLUSTER)
        assert {each.name for each in clusters.resources} > {NGINX, "BlackHoleCluster"}
        assert endpoints(_Values(await mine.get(type_urls.ENDPOINT, NGINX))) == {NGINX: ["192.168.0.204"]}
        assert len((await mine.get(type_urls.LISTENER)).resources) >= 3
        assert len((await mine.get(type_urls.ROUTE, "80")).resources) == 1
        table = await mine.get(type_urls.NAME_TABLE)
        assert [each.name for each in table.resources] == [""]
        assert names(_Values(table)) == {"nginx.jd.com": ["240.240.0.1"]}

        await control_plane.until(lambda lab: len(lab.connections[0].accepted) == 5)
        assert not control_plane.connections[0].rejected


async def test_a_new_service_is_told_as_what_is_new_and_its_end_as_what_is_gone(
    control_plane: ControlPlane,
) -> None:
    async with delta_stream(control_plane) as mine:
        await subscribed(mine)
        control_plane.apply(SECOND_SERVICE)
        assert [each.name for each in (await mine.next(type_urls.CLUSTER)).resources] == [SECOND]
        assert [each.name for each in (await mine.next(type_urls.LISTENER)).resources] == ["0.0.0.0_8080"]
        assert sorted(names(_Values(await mine.next(type_urls.NAME_TABLE)))) == [
            "nginx.jd.com",
            "second.jd.com",
        ]
        await mine.get(type_urls.ENDPOINT, SECOND)

        control_plane.delete("ServiceEntry", "istio-demo", "second")
        for type_url, gone in (
            (type_urls.CLUSTER, SECOND),
            (type_urls.ENDPOINT, SECOND),
            (type_urls.LISTENER, "0.0.0.0_8080"),
        ):
            response = await mine.next(type_url)
            assert (list(response.resources), list(response.removed_resources)) == ([], [gone])
        assert sorted(names(_Values(await mine.next(type_urls.NAME_TABLE)))) == ["nginx.jd.com"]
        await silence(mine)


async def test_a_change_of_endpoints_sends_the_one_assignment(control_plane: ControlPlane) -> None:
    control_plane.apply(SECOND_SERVICE)
    async with delta_stream(control_plane) as mine:
        await subscribed(mine)
        await mine.get(type_urls.ENDPOINT, SECOND)
        control_plane.apply(POD)
        pushed = await mine.next(type_urls.ENDPOINT)
        assert endpoints(_Values(pushed)) == {NGINX: ["192.168.0.204", "192.168.0.20"]}
        await silence(mine)


async def test_a_change_that_is_none_for_this_proxy_pushes_nothing(control_plane: ControlPlane) -> None:
    async with delta_stream(control_plane) as mine:
        await subscribed(mine)
        control_plane.apply("{apiVersion: v1, kind: Namespace, metadata: {name: other}}")
        await silence(mine)


async def test_a_refusal_is_remembered_with_its_reason(control_plane: ControlPlane) -> None:
    async with delta_stream(control_plane) as mine:
        await mine.ask(type_urls.CLUSTER)
        first = await mine.answer()
        await mine.ask(type_urls.CLUSTER, nonce=first.nonce, error="cannot load that filter")
        await control_plane.until(lambda lab: lab.connections[0].rejected)
        assert control_plane.connections[0].rejected == {type_urls.CLUSTER: "cannot load that filter"}


async def test_a_reconnect_costs_what_changed_in_between(control_plane: ControlPlane) -> None:
    async with delta_stream(control_plane) as mine:
        await subscribed(mine)
    control_plane.apply(SECOND_SERVICE)
    async with delta_stream(control_plane) as again:
        again.held = mine.held
        assert [each.name for each in (await again.get(type_urls.CLUSTER)).resources] == [SECOND]
        assert not (await again.get(type_urls.ENDPOINT, NGINX)).resources
        assert not (await again.get(type_urls.ROUTE, "80")).resources


async def test_a_reconnect_costs_everything_without_versions_as_with_istiod(settings: Settings) -> None:
    async with running(replace(settings, resource_versions=False)) as control_plane:
        async with delta_stream(control_plane) as mine:
            clusters = await mine.get(type_urls.CLUSTER)
            assert {each.version for each in clusters.resources} == {""}
        async with delta_stream(control_plane) as again:
            again.held = mine.held
            assert len((await again.get(type_urls.CLUSTER)).resources) == len(clusters.resources)


async def test_both_variants_are_served_at_once(control_plane: ControlPlane) -> None:
    async with delta_stream(control_plane) as delta, stream(control_plane) as sotw:
        await delta.get(type_urls.CLUSTER)
        everything = await sotw.get(type_urls.CLUSTER)
        control_plane.apply(SECOND_SERVICE)
        assert len((await delta.answer()).resources) == 1
        assert len((await sotw.answer()).resources) == len(everything.resources) + 1
        assert [each.variant.name for each in control_plane.connections] == ["delta", "sotw"]


async def test_a_control_plane_that_is_not_ready_says_so_as_istiod_does(control_plane: ControlPlane) -> None:
    control_plane.faults.refuse_streams = True
    async with delta_stream(control_plane) as mine:
        await mine.ask(type_urls.CLUSTER)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await mine.answer()
    assert caught.value.code() is grpc.StatusCode.UNKNOWN
    assert caught.value.details() == "server is not ready to serve discovery information"
