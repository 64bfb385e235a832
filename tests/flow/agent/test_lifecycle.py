"""A machine's WorkloadEntry from its first connection to its last, the whole agent behind it; and what was
recorded of a real istiod and a real agent (01-vm-joins-the-mesh/lifecycle), where that is beside the clone.
"""

import contextlib
import http.server
import json
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from lab.controlplane.kinds.workload import WorkloadEntry
from lab.controlplane.server import ControlPlane, on_any_port, running
from lab.controlplane.settings import Settings
from tests.conftest import RECORDINGS
from tests.flow.agent.machine import Machine, without_real_sockets
from tests.flow.agent.test_life import ready
from tests.flow.lab.conftest import STORY
from tests.flow.xds.machine import until
from tests.ports import free_ports

NAME = "nginx-192.168.0.204"
LIFECYCLE = RECORDINGS / "istiod-1.29.6/01-vm-joins-the-mesh/lifecycle"
CONNECTED, DISCONNECTED = "istio.io/connectedAt", "istio.io/disconnectedAt"
CONTROLLER = "istio.io/workloadController"
EVER = {"istio.io/autoRegistrationGroup", CONTROLLER, "proxy.istio.io/health-checks-enabled"}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    resources = tmp_path / "resources"
    resources.mkdir()
    (resources / "story.yaml").write_text(STORY)
    given = Settings(resources=resources, state=tmp_path / "state", grace_period=2.0, debounce=0.02)
    return on_any_port(replace(given, controller="istiod-1"))


@pytest.fixture
async def control_plane(settings: Settings) -> AsyncIterator[ControlPlane]:
    async with running(settings) as started:
        without_real_sockets(started)
        yield started


@contextlib.contextmanager
def application(port: int) -> Iterator[None]:
    class Greeting(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", port), Greeting) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield
        server.shutdown()


def probed(root: Path, control_plane: ControlPlane, port: int) -> Machine:
    probe = {
        "httpGet": {"host": "127.0.0.1", "port": port},
        "periodSeconds": 1,
        "failureThreshold": 1,
    }
    return Machine(
        root,
        control_plane,
        settings={"PROXY_CONFIG": json.dumps({"readinessProbe": probe}), "POD_NAME": "vm204"},
    )


def entry(control_plane: ControlPlane) -> WorkloadEntry | None:
    return control_plane.world.get(WorkloadEntry, "istio-demo", NAME)


def annotations(control_plane: ControlPlane) -> dict[str, str]:
    found = entry(control_plane)
    return dict(found.metadata.annotations) if found else {}


def says(control_plane: ControlPlane, status: str) -> bool:
    found = entry(control_plane)
    return found is not None and [each.status for each in found.conditions] == [status]


def message(control_plane: ControlPlane) -> str:
    found = entry(control_plane)
    assert found is not None
    return found.conditions[0].message


async def test_the_entry_follows_the_machine_from_its_first_connection_to_its_last(
    control_plane: ControlPlane, root: Path
) -> None:
    [port] = free_ports(1)
    async with probed(root, control_plane, port).running() as life:
        await ready(life)
        await until(lambda: says(control_plane, "False"))
        assert annotations(control_plane).keys() - {"team"} == EVER | {CONNECTED}
        down = message(control_plane)
        assert down.startswith(f'Get "http://127.0.0.1:{port}/": dial tcp ')
        assert down.endswith(f"->127.0.0.1:{port}: connect: connection refused")
        with application(port):
            await until(lambda: says(control_plane, "True"))
            assert message(control_plane) == ""
        await until(lambda: says(control_plane, "False"))
        assert message(control_plane) == down
    await until(lambda: DISCONNECTED in annotations(control_plane))
    assert annotations(control_plane).keys() - {"team"} == EVER | {DISCONNECTED}
    await until(lambda: entry(control_plane) is None)


@pytest.mark.skipif(not LIFECYCLE.exists(), reason="the recordings are not beside the clone")
def test_so_it_was_recorded() -> None:
    def recorded(name: str) -> dict[str, object]:
        return dict(next(yaml.safe_load_all((LIFECYCLE / name).read_text()), None) or {})

    for name in ("1-connected-no-application", "2-healthy", "3-unhealthy", "4-disconnected"):
        document = recorded(f"{name}.yaml")
        moment = DISCONNECTED if "disconnected" in name else CONNECTED
        metadata = document["metadata"]
        assert isinstance(metadata, dict)
        assert metadata["name"] == NAME
        assert metadata["annotations"].keys() == EVER | {moment}
    assert recorded("5-after-grace-period.yaml") == {}


async def test_another_replica_of_the_control_plane_keeps_the_entry(
    control_plane: ControlPlane, settings: Settings, root: Path
) -> None:
    """As when the pod that a machine is connected to is replaced."""
    [port] = free_ports(1)
    with application(port):
        async with probed(root, control_plane, port).running() as life:
            await ready(life)
            await until(lambda: says(control_plane, "True"))
            before = entry(control_plane)
            assert before is not None
            uid = control_plane.document("WorkloadEntry", "istio-demo", NAME)["metadata"]["uid"]
            at = control_plane.listening
            await control_plane.stop()
            other = replace(settings, controller="istiod-2", listen=at)
            async with running(other) as second:
                without_real_sockets(second)
                await until(lambda: annotations(second).get(CONTROLLER) == "istiod-2", within=15)
                await until(lambda: says(second, "True"))
                after = entry(second)
                assert after is not None
                assert second.document("WorkloadEntry", "istio-demo", NAME)["metadata"]["uid"] == uid
                assert after.metadata.labels == before.metadata.labels
                assert annotations(second)[CONNECTED] > before.metadata.annotations[CONNECTED]
                assert DISCONNECTED not in annotations(second)
                assert life.gates.waiting == {}
            await control_plane.start()
