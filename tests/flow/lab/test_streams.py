"""ADS, state of the world, as a proxy meets it: who may open a stream, what comes, what is pushed."""

import asyncio
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.route.v3.route_pb2 import RouteConfiguration

from lab.controlplane import type_urls
from lab.controlplane._pb import nds_pb2
from lab.controlplane.server import ControlPlane
from tests.flow.lab.client import SILENCE, DeltaStream, Stream, certificate, new_csr, private_pem, stream

NGINX = "outbound|80||nginx.jd.com"

SECOND_SERVICE = """
apiVersion: networking.istio.io/v1beta1
kind: ServiceEntry
metadata: {name: second, namespace: istio-demo}
spec:
  hosts: [second.jd.com]
  location: MESH_INTERNAL
  ports: [{name: http, number: 8080, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 192.168.0.9}]
"""


async def refusal(control_plane: ControlPlane, **how: Any) -> tuple[grpc.StatusCode, str]:
    async with stream(control_plane, **how) as mine:
        await mine.ask(type_urls.CLUSTER)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await mine.answer()
    return caught.value.code(), caught.value.details() or ""


async def silence(mine: Stream | DeltaStream) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(SILENCE):
            await mine.answer()


async def subscribed(mine: Stream) -> None:
    """To everything, as Envoy with the story's configuration is."""
    await mine.get(type_urls.CLUSTER)
    await mine.get(type_urls.ENDPOINT, NGINX)
    await mine.get(type_urls.LISTENER)
    await mine.get(type_urls.ROUTE, "80")
    await mine.get(type_urls.NAME_TABLE)


def endpoints(response: object) -> dict[str, list[str]]:
    found = {}
    for resource in response.resources:  # type: ignore[attr-defined]  # xds-protos has no stubs
        assignment = endpoint_pb2.ClusterLoadAssignment()
        resource.Unpack(assignment)
        found[assignment.cluster_name] = [
            endpoint.endpoint.address.socket_address.address
            for locality in assignment.endpoints
            for endpoint in locality.lb_endpoints
        ]
    return found


def names(response: object) -> dict[str, list[str]]:
    table = nds_pb2.NameTable.FromString(response.resources[0].value)  # type: ignore[attr-defined]  # see above
    return {host: list(info.ips) for host, info in table.table.items()}


async def test_a_proxy_gets_every_type_it_asks_for(control_plane: ControlPlane) -> None:
    async with stream(control_plane) as mine:
        clusters = await mine.get(type_urls.CLUSTER)
        assert len(clusters.resources) > 3
        assert endpoints(await mine.get(type_urls.ENDPOINT, NGINX)) == {NGINX: ["192.168.0.204"]}
        assert len((await mine.get(type_urls.LISTENER)).resources) >= 3
        assert len((await mine.get(type_urls.ROUTE, "80")).resources) == 1
        assert names(await mine.get(type_urls.NAME_TABLE)) == {"nginx.jd.com": ["240.240.0.1"]}

        await control_plane.until(lambda lab: len(lab.connections[0].accepted) == 5)
        assert not control_plane.connections[0].rejected


async def test_an_unknown_cluster_has_no_endpoints_and_a_port_without_services_a_table(
    control_plane: ControlPlane,
) -> None:
    async with stream(control_plane) as mine:
        assert endpoints(await mine.get(type_urls.ENDPOINT, "outbound|1||nobody")) == {
            "outbound|1||nobody": []
        }
        (resource,) = (await mine.get(type_urls.ROUTE, "4711")).resources
        table = RouteConfiguration.FromString(resource.value)
        assert [host.name for host in table.virtual_hosts] == ["allow_any"]


async def test_a_table_that_is_no_ports_is_left_out(control_plane: ControlPlane) -> None:
    async with stream(control_plane) as mine:
        assert len((await mine.get(type_urls.ROUTE, "nobodys")).resources) == 0


async def test_a_type_nobody_serves_is_met_with_silence(control_plane: ControlPlane) -> None:
    async with stream(control_plane) as mine:
        await mine.ask("type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret", "x")
        await silence(mine)


async def test_a_new_service_is_pushed_to_a_stream_that_asked_for_nothing_new(
    control_plane: ControlPlane,
) -> None:
    async with stream(control_plane) as mine:
        await subscribed(mine)
        control_plane.apply(SECOND_SERVICE)
        pushed = [await mine.answer() for _ in range(5)]

    order = [response.type_url for response in pushed]
    assert order == list(type_urls.PUSH_ORDER), "make before break"
    assert names(pushed[-1])["second.jd.com"] == ["240.240.0.2"]


async def test_a_change_that_is_none_for_this_proxy_pushes_nothing(control_plane: ControlPlane) -> None:
    async with stream(control_plane) as mine:
        await subscribed(mine)
        control_plane.apply("{apiVersion: v1, kind: Namespace, metadata: {name: other}}")
        await silence(mine)


async def test_a_change_of_endpoints_pushes_endpoints_alone(control_plane: ControlPlane) -> None:
    pod = """
apiVersion: v1
kind: Pod
metadata: {name: docker, namespace: istio-demo, labels: {app: nginx}}
spec: {serviceAccountName: vm}
status: {podIP: 192.168.0.20}
"""
    async with stream(control_plane) as mine:
        await subscribed(mine)
        control_plane.apply(pod)
        pushed = await mine.answer()
        assert pushed.type_url == type_urls.ENDPOINT
        assert endpoints(pushed) == {NGINX: ["192.168.0.204", "192.168.0.20"]}
        await mine.accept(pushed, NGINX)
        await silence(mine)


async def test_a_rejected_response_is_remembered_with_its_reason_until_a_later_one_is_accepted(
    control_plane: ControlPlane,
) -> None:
    async with stream(control_plane) as mine:
        first = await mine.get(type_urls.CLUSTER)
        control_plane.apply(SECOND_SERVICE)
        second = await mine.answer()
        await mine.ask(type_urls.CLUSTER, error="cannot load that filter")
        await control_plane.until(lambda lab: lab.connections[0].rejected)
        connection = control_plane.connections[0]
        assert connection.rejected == {type_urls.CLUSTER: "cannot load that filter"}
        assert connection.accepted == {type_urls.CLUSTER: first.version_info}
        assert second.version_info != first.version_info

        control_plane.delete("ServiceEntry", "istio-demo", "second")
        third = await mine.answer()
        assert third.version_info == first.version_info, "the same content has the same version"
        await mine.accept(third)
        await control_plane.until(lambda lab: not lab.connections[0].rejected)


async def test_a_file_that_is_edited_is_read_again(control_plane: ControlPlane) -> None:
    extra = control_plane.settings.resources / "extra.yaml"
    async with stream(control_plane) as mine:
        await mine.get(type_urls.NAME_TABLE)
        extra.write_text(SECOND_SERVICE)
        pushed = await mine.answer()
        assert sorted(names(pushed)) == ["nginx.jd.com", "second.jd.com"]
        await mine.accept(pushed)
        extra.unlink()
        assert sorted(names(await mine.answer())) == ["nginx.jd.com"]


async def test_a_broken_file_keeps_its_last_good_version_and_is_complained_about_once(
    control_plane: ControlPlane, caplog: pytest.LogCaptureFixture
) -> None:
    story = control_plane.settings.resources / "story.yaml"
    async with stream(control_plane) as mine:
        await mine.get(type_urls.NAME_TABLE)
        story.write_text(story.read_text().replace("resolution: STATIC", "resolution: STATICALLY"))
        await control_plane.until(lambda _: "keeping its last good version" in caplog.text)
        await silence(mine)
    assert caplog.text.count("keeping its last good version") == 1
    assert _complaint(caplog, story)


def _complaint(caplog: pytest.LogCaptureFixture, path: Path) -> bool:
    return any(str(path) in record.getMessage() for record in caplog.records if record.levelname == "ERROR")


async def test_a_stream_without_a_token_is_not_authenticated(control_plane: ControlPlane) -> None:
    unauthenticated = (grpc.StatusCode.UNAUTHENTICATED, "authentication failure")
    assert await refusal(control_plane, token=None) == unauthenticated
    assert await refusal(control_plane, token="rubbish") == unauthenticated


async def test_a_client_certificate_opens_a_stream_without_a_token(control_plane: ControlPlane) -> None:
    key, csr = new_csr()
    chain = await certificate(control_plane, csr, token=control_plane.issue_token("istio-demo", "vm"))
    async with stream(
        control_plane, token=None, identity=(private_pem(key), "".join(chain).encode())
    ) as mine:
        await mine.get(type_urls.CLUSTER)
        assert control_plane.connections[0].caller.by == "certificate"


@pytest.mark.parametrize(
    ("metadata", "why"),
    [
        ({"NAMESPACE": "default"}, "namespace 'default'"),
        ({"SERVICE_ACCOUNT": "root"}, "service account 'root'"),
    ],
)
async def test_a_proxy_speaks_only_for_its_own_identity(
    control_plane: ControlPlane, metadata: dict[str, str], why: str
) -> None:
    code, text = await refusal(control_plane, **metadata)
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert text.startswith("authorization failed: ")
    assert why in text


async def test_a_node_that_does_not_say_who_it_is_is_an_invalid_argument(control_plane: ControlPlane) -> None:
    assert (await refusal(control_plane, INSTANCE_IPS="nonsense"))[0] is grpc.StatusCode.INVALID_ARGUMENT
    async with stream(control_plane) as mine:
        mine.first_node = None
        await mine.ask(type_urls.CLUSTER)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await mine.answer()
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_proxy_without_an_ipv4_address_has_its_inbound_source_in_ipv6(
    control_plane: ControlPlane,
) -> None:
    async with stream(control_plane, INSTANCE_IPS="fd00::204") as vm:
        told = b"".join(each.value for each in (await vm.get(type_urls.CLUSTER)).resources)
    assert b"::6" in told
    assert b"127.0.0.6" not in told
