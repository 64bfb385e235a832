"""A machine comes, reports its health, goes, comes back and stays away: its WorkloadEntry all along."""

import asyncio
from dataclasses import replace
from typing import Any

import grpc
import grpc.aio
import pytest

from lab.controlplane import type_urls
from lab.controlplane.kinds.workload import WorkloadEntry
from lab.controlplane.server import ControlPlane, running
from lab.controlplane.settings import Settings
from tests.flow.lab.client import SILENCE, Stream, stream

NAME = "nginx-192.168.0.204"
PROBED: dict[str, Any] = {"PROXY_CONFIG": {"readinessProbe": {"httpGet": {"port": 80}}}}
CONNECTED = "istio.io/connectedAt"
DISCONNECTED = "istio.io/disconnectedAt"


def entry(control_plane: ControlPlane) -> WorkloadEntry | None:
    return control_plane.world.get(WorkloadEntry, "istio-demo", NAME)


def annotations(control_plane: ControlPlane) -> dict[str, str]:
    found = entry(control_plane)
    return dict(found.metadata.annotations) if found else {}


async def connected(mine: Stream) -> None:
    await mine.get(type_urls.CLUSTER)


async def refusal(control_plane: ControlPlane, **metadata: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async with stream(control_plane, **metadata) as mine:
            await connected(mine)
    return caught.value.code(), caught.value.details() or ""


async def test_the_entry_of_a_connected_machine_is_labelled_annotated_and_owned(
    control_plane: ControlPlane,
) -> None:
    async with stream(control_plane, NETWORK="", **PROBED) as mine:
        await connected(mine)
        document = control_plane.document("WorkloadEntry", "istio-demo", NAME)

    # Template below group below node.
    labels = {"app": "nginx", "class": "vm", "tier": "front"}
    assert document["spec"] == {"address": "192.168.0.204", "labels": labels, "serviceAccount": "vm"}
    metadata = document["metadata"]
    assert metadata["labels"] == labels
    assert metadata["generation"] == 1
    assert metadata["annotations"].pop(CONNECTED).endswith("Z")
    assert metadata["annotations"] == {
        "istio.io/autoRegistrationGroup": "nginx",
        "istio.io/workloadController": "istiod-lab",
        "proxy.istio.io/health-checks-enabled": "true",
        "team": "web",
    }
    group = control_plane.document("WorkloadGroup", "istio-demo", "nginx")
    assert metadata["ownerReferences"] == [
        {
            "apiVersion": "networking.istio.io/v1",
            "controller": True,
            "kind": "WorkloadGroup",
            "name": "nginx",
            "uid": group["metadata"]["uid"],
        }
    ]


async def test_without_a_probe_the_entry_is_not_health_checked(control_plane: ControlPlane) -> None:
    async with stream(control_plane) as mine:
        await connected(mine)
        assert "proxy.istio.io/health-checks-enabled" not in annotations(control_plane)
        await mine.report("down")
        await mine.get(type_urls.LISTENER)
        found = entry(control_plane)
        assert found is not None
        assert found.conditions == ()


async def test_the_address_family_and_the_network_are_part_of_the_name(control_plane: ControlPlane) -> None:
    async with stream(control_plane, INSTANCE_IPS="fd00::1", NETWORK="far") as mine:
        await connected(mine)
        assert control_plane.world.get(WorkloadEntry, "istio-demo", "nginx-fd00--1-far") is not None


async def test_a_machine_that_goes_is_marked_and_after_the_grace_period_gone(
    control_plane: ControlPlane,
) -> None:
    async with stream(control_plane) as mine:
        await connected(mine)
    await control_plane.until(lambda lab: DISCONNECTED in annotations(lab))
    assert CONNECTED not in annotations(control_plane)
    await control_plane.until(lambda lab: entry(lab) is None)
    assert list((control_plane.settings.state / "entries").iterdir()) == []


async def test_a_machine_that_comes_back_in_time_keeps_its_entry(control_plane: ControlPlane) -> None:
    async with stream(control_plane) as mine:
        await connected(mine)
        first = annotations(control_plane)[CONNECTED]
    await control_plane.until(lambda lab: DISCONNECTED in annotations(lab))
    async with stream(control_plane, LABELS={"app": "other"}) as mine:
        await connected(mine)
        assert annotations(control_plane)[CONNECTED] > first
        assert DISCONNECTED not in annotations(control_plane)
        await asyncio.sleep(control_plane.settings.grace_period + 0.1)  # the old deadline passes
        found = entry(control_plane)
        assert found is not None
        assert found.metadata.labels["app"] == "nginx", "an entry that is there keeps its labels"


async def test_the_entry_stays_connected_until_the_last_connection_ends(control_plane: ControlPlane) -> None:
    async with stream(control_plane) as one:
        await connected(one)
        async with stream(control_plane) as two:
            await connected(two)
        await control_plane.until(lambda lab: len(lab.connections) == 1)
        assert CONNECTED in annotations(control_plane)


async def test_two_machines_with_one_address_share_the_entry_and_the_log_tells_them_apart(
    control_plane: ControlPlane, caplog: pytest.LogCaptureFixture
) -> None:
    """As with istiod, which counts connections by address and group, and says nothing."""
    async with stream(control_plane) as one, stream(control_plane) as two:
        assert two.first_node is not None
        two.first_node.id = two.first_node.id.replace("vm204", "clone")
        await connected(one)
        assert "share an entry" not in caplog.text
        await connected(two)
        assert f"entry=istio-demo/{NAME}\tmachine=clone.istio-demo\tand=vm204.istio-demo" in caplog.text
        assert [each.metadata.name for each in control_plane.world.all(WorkloadEntry)] == [NAME]


async def test_health_moves_the_machine_in_and_out_of_the_endpoints(control_plane: ControlPlane) -> None:
    def status(lab: ControlPlane) -> str:
        found = entry(lab)
        return found.conditions[0].status if found and found.conditions else ""

    nginx = "outbound|80||nginx.jd.com"
    async with stream(control_plane, **PROBED) as mine:
        unknown = await mine.get(type_urls.ENDPOINT, nginx)
        assert b"192.168.0.204" not in unknown.resources[0].value

        await mine.report()
        await control_plane.until(lambda lab: status(lab) == "True")
        healthy = await mine.answer()
        assert b"192.168.0.204" in healthy.resources[0].value
        await mine.accept(healthy, nginx)

        await mine.report("connection refused")
        await control_plane.until(lambda lab: status(lab) == "False")
        unhealthy = await mine.answer()
        assert b"192.168.0.204" not in unhealthy.resources[0].value

    condition = control_plane.document("WorkloadEntry", "istio-demo", NAME)["status"]["conditions"][0]
    assert condition.pop("lastProbeTime") == condition.pop("lastTransitionTime")
    assert condition == {"type": "Healthy", "status": "False", "message": "connection refused"}


async def test_a_group_that_is_not_there_is_a_failed_precondition(control_plane: ControlPlane) -> None:
    code, text = await refusal(control_plane, AUTO_REGISTER_GROUP="apache")
    assert code is grpc.StatusCode.FAILED_PRECONDITION
    assert "WorkloadGroup istio-demo/apache" in text


async def test_another_account_of_the_namespace_cannot_have_the_entry(control_plane: ControlPlane) -> None:
    code, text = await refusal(
        control_plane, token=control_plane.issue_token("istio-demo", "default"), SERVICE_ACCOUNT=None
    )
    assert code is grpc.StatusCode.UNKNOWN
    assert "service account vm" in text
    assert entry(control_plane) is None


async def test_with_registration_switched_off_no_entry_appears(settings: Settings) -> None:
    async with running(replace(settings, autoregistration=False)) as lab, stream(lab) as mine:
        await connected(mine)
        assert entry(lab) is None


async def test_without_a_group_in_the_node_no_entry_appears(control_plane: ControlPlane) -> None:
    async with stream(control_plane, AUTO_REGISTER_GROUP=None) as mine:
        await connected(mine)
        assert entry(control_plane) is None


async def test_with_health_checks_switched_off_reports_are_not_written_down(settings: Settings) -> None:
    async with running(replace(settings, healthchecks=False)) as lab, stream(lab, **PROBED) as mine:
        await mine.get(type_urls.CLUSTER)
        await mine.report("down")
        await mine.get(type_urls.LISTENER)  # answered after the report was read
        found = entry(lab)
        assert found is not None
        assert found.conditions == ()


async def test_a_written_entry_is_health_checked_through_the_node_that_names_it(
    control_plane: ControlPlane,
) -> None:
    control_plane.apply("""
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata:
  name: mine
  namespace: istio-demo
  annotations: {proxy.istio.io/health-checks-enabled: "true"}
spec: {address: 192.168.0.204, serviceAccount: vm, labels: {app: nginx}}
""")

    def mine_now(lab: ControlPlane) -> WorkloadEntry:
        found = lab.world.get(WorkloadEntry, "istio-demo", "mine")
        assert found is not None, "somebody wrote it, so it stays"
        return found

    async with stream(control_plane, AUTO_REGISTER_GROUP=None, WORKLOAD_ENTRY="mine") as stream_:
        await connected(stream_)
        await stream_.report()
        await control_plane.until(lambda lab: mine_now(lab).healthy)
    await control_plane.until(lambda lab: DISCONNECTED in mine_now(lab).metadata.annotations)
    await control_plane.until(lambda lab: not mine_now(lab).healthy)

    code, _ = await refusal(control_plane, AUTO_REGISTER_GROUP=None, WORKLOAD_ENTRY="missing")
    assert code is grpc.StatusCode.UNKNOWN


async def test_a_control_plane_that_restarts_still_knows_its_machines(settings: Settings) -> None:
    lab = ControlPlane(settings)
    await lab.start()
    async with stream(lab, **PROBED) as mine:
        await connected(mine)
        await mine.report()
        await lab.until(lambda _: (found := entry(lab)) and found.healthy)
        before = lab.listening, lab.root_pem, lab.document("WorkloadEntry", "istio-demo", NAME)["spec"]
        token = lab.issue_token("istio-demo", "vm")
        await lab.stop()
        with pytest.raises(grpc.aio.AioRpcError):
            await mine.answer()

    await lab.start()
    try:
        assert (lab.listening, lab.root_pem) == before[:2]
        found = entry(lab)
        assert found is not None
        assert found.healthy
        assert CONNECTED in annotations(lab), "it was the control plane that left, not the machine"
        assert lab.document("WorkloadEntry", "istio-demo", NAME)["spec"] == before[2]
        async with stream(lab, token=token) as mine:
            await connected(mine)
            await asyncio.sleep(SILENCE)
            assert CONNECTED in annotations(lab)
    finally:
        await lab.stop()
