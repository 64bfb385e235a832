"""The whole agent in process, from its files to a ready Envoy and back, against the lab's control plane."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.controlplane.kinds.workload import WorkloadEntry
from lab.controlplane.server import ControlPlane
from tests.authority import Authority
from tests.flow.agent.machine import Life, Machine
from tests.flow.xds.machine import until
from tests.processes import alive
from vmagent import reporting

READY = 15.0
"""Seconds for a busy machine; the goal is 1.5."""

New = Callable[..., Machine]


@pytest.fixture
def vm(control_plane: ControlPlane, root: Path) -> New:
    def new(*, zipkin: bool = False, dns: bool = True) -> Machine:
        return Machine(root, control_plane, zipkin=zipkin, dns=dns)

    return new


async def ready(life: Life) -> None:
    try:
        await until(lambda: not life.gates.waiting, within=READY)
    except TimeoutError:
        raise AssertionError(f"waits for {life.gates.waiting} after {life.moves}") from None


def opened(life: Life) -> list[str]:
    return [move.partition(":")[0] for move in life.moves if move.endswith(": open")]


async def answers(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


async def test_gates_open_in_the_order_of_the_data_and_the_status_says_so(
    control_plane: ControlPlane, vm: New
) -> None:
    machine = vm()
    async with machine.running() as life:
        await ready(life)
        order = opened(life)
        assert order.index("identity") < order.index("envoy")
        assert order.index("config") < order.index("xds") < order.index("envoy")
        assert set(order) == {"config", "identity", "xds", "dns", "envoy"}

        def status() -> dict[str, object]:
            path = machine.run_dir / "status.json"
            return dict(json.loads(path.read_text())) if path.exists() else {}

        await until(lambda: status().get("gates") == dict.fromkeys(life.gates.gates, "open"))
        said = status()
        assert said["certificate"] == "spiffe://cluster.local/ns/istio-demo/sa/vm"
        assert said["control_plane_connected"] is True
        assert said["dns"] == "1 names of the mesh"
        assert "PRIVATE KEY" not in json.dumps(said)
        names = [each.metadata.name for each in control_plane.world.all(WorkloadEntry)]
        assert names == ["nginx-192.168.0.204"]


async def test_a_stop_leaves_no_socket_no_process_and_no_port(control_plane: ControlPlane, vm: New) -> None:
    machine = vm()
    async with machine.running() as life:
        await ready(life)
        assert len(machine.sockets) == 2
        pid = int((machine.run_dir / "envoy.pid").read_text().split()[0].partition(":")[0])
        began = time.monotonic()
    assert time.monotonic() - began < 6.0
    assert machine.sockets == []
    assert not alive(pid)
    assert not [port for port in (machine.admin, machine.status, machine.names) if await answers(port)]
    await until(lambda: not control_plane.connections)


@pytest.mark.parametrize("zipkin", [False, True], ids=["no tracer", "a tracer that does not resolve"])
async def test_the_agent_is_ready_soon_also_with_a_tracer_that_does_not_resolve(
    vm: New, zipkin: bool
) -> None:
    machine = vm(zipkin=zipkin)
    began = time.monotonic()
    async with machine.running() as life:
        await ready(life)
        assert time.monotonic() - began < 5.0, "Envoy would wait for a silent resolver for longer"


async def test_without_dns_capture_no_name_is_waited_for(vm: New) -> None:
    machine = vm(dns=False)
    async with machine.running() as life:
        await ready(life)
        assert reporting.facts(life.agent.known()).dns == "off"
        assert not await answers(machine.names)


async def test_a_token_that_is_refused_and_then_repaired_joins_within_two_seconds(
    control_plane: ControlPlane, vm: New
) -> None:
    machine = vm()
    machine.token.write_text(control_plane.issue_token("istio-demo", "vm", age=7200))
    async with machine.running() as life:
        await until(lambda: "does not accept us" in life.gates.gates["identity"])
        await until(lambda: "waits for a certificate" in life.gates.gates["xds"])
        machine.token.write_text(control_plane.issue_token("istio-demo", "vm"))
        await until(lambda: life.gates.is_open("identity") and life.gates.is_open("xds"), within=2.0)


async def test_a_root_that_was_wrong_and_is_repaired_connects_within_two_seconds(
    control_plane: ControlPlane, vm: New
) -> None:
    """With a certificate in hand, so that the CA has no part in it."""
    machine = vm()
    root = machine.root / "etc/certs/root-cert.pem"
    async with machine.running() as life:
        await ready(life)
        await until(lambda: root.read_bytes() == control_plane.root_pem)
    root.write_bytes(Authority().root_pem)
    async with machine.running() as life:
        hub = life.agent.known().hub
        await until(
            lambda: "does not match control plane" in life.agent.known().trouble.get("xds", ""), within=10
        )
        root.write_bytes(control_plane.root_pem)
        await until(lambda: hub.connected, within=2.0)


async def test_an_agent_that_is_stopped_before_it_is_ready_stops_at_once(
    control_plane: ControlPlane, vm: New
) -> None:
    await control_plane.stop()
    machine = vm()
    async with machine.running() as life:
        await until(lambda: "control plane" in life.gates.gates["xds"])
        began = time.monotonic()
    assert time.monotonic() - began < 4.0
    assert machine.sockets == []
    await control_plane.start()
