"""A control plane that begins to answer and goes, again and again, as one that is overloaded after a power
cut: the whole agent in process with a real Envoy.
"""

import asyncio
import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from lab.controlplane.ads import AdsService
from lab.controlplane.connection import Connection
from lab.controlplane.server import ControlPlane
from lab.controlplane.stream import Stream
from tests.flow.agent.machine import Machine, without_real_sockets
from tests.flow.agent.test_last_known_good import configured, has_run, resolved, statistics, told
from tests.flow.agent.test_life import ready
from tests.flow.xds.machine import until

HEALED = 30.0
"""Seconds. The agent's longest pause between two attempts is 8, and the machine may be busy."""

MORE = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {name: more, namespace: istio-demo}
spec:
  hosts: [more.jd.com]
  addresses: [240.240.9.9]
  location: MESH_INTERNAL
  ports: [{name: http, number: 8080, protocol: HTTP}]
  resolution: STATIC
  endpoints: [{address: 192.168.0.99}]
"""

VARIANTS = pytest.mark.parametrize("delta", ["true", "false"], ids=["incremental", "state of the world"])


@dataclass
class Cut:
    """A stream's context that ends it after so many responses."""

    context: Any
    left: int

    def __getattr__(self, name: str) -> Any:
        return getattr(self.context, name)

    async def write(self, message: Any) -> None:
        await self.context.write(message)
        self.left -= 1
        if not self.left:
            await self.context.abort(grpc.StatusCode.UNAVAILABLE, "out of memory")


@contextlib.contextmanager
def cut_after(responses: int) -> Iterator[list[str]]:
    """Yields the streams that were opened meanwhile, by connection."""
    whole, opened = AdsService._open, []

    def broken(self: AdsService, connection: Connection, context: Any) -> Stream:
        opened.append(connection.id)
        cut: Any = Cut(context, responses)
        return whole(self, connection, cut)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AdsService, "_open", broken)
        yield opened


async def restarted(control_plane: ControlPlane) -> None:
    await control_plane.stop()
    await control_plane.start()
    without_real_sockets(control_plane)


async def had(machine: Machine) -> tuple[list[str], list[str], int]:
    """Clusters and listeners that Envoy has, warm, and of how many clusters the endpoints."""
    found = await configured(machine)
    clusters = [json.loads(each)["cluster"]["name"] for each in found.get("dynamic_active_clusters", ())]
    listeners = found.get("dynamic_listeners", ())
    return sorted(clusters), sorted(listeners), len(found.get("dynamic_endpoint_configs", ()))


@VARIANTS
@pytest.mark.parametrize("responses", [1, 2])
async def test_what_it_did_not_say_is_what_envoy_accepted_last(
    control_plane: ControlPlane, root: Path, caplog: pytest.LogCaptureFixture, delta: str, responses: int
) -> None:
    machine = Machine(root, control_plane, settings={"ISTIO_DELTA_XDS": delta})
    async with machine.running() as life:
        await ready(life)
        before, names = await had(machine), await resolved(machine.names, "nginx.jd.com")
    with cut_after(responses) as opened:
        async with machine.running() as life:
            await ready(life)
            assert opened, "it did answer"
            assert told(life).startswith("serving last known good, ")
            assert await had(machine) == before
            assert await resolved(machine.names, "nginx.jd.com") == names != []
            listeners = await statistics(machine, "listener_manager")
    assert "the control plane has not said everything: serving last known good" in caplog.text
    assert "Envoy rejected" not in caplog.text
    assert listeners["listener_manager.listener_removed"] == 0


@VARIANTS
async def test_when_it_speaks_to_the_end_its_word_replaces_what_was_kept(
    control_plane: ControlPlane, root: Path, caplog: pytest.LogCaptureFixture, delta: str
) -> None:
    machine = Machine(root, control_plane, settings={"ISTIO_DELTA_XDS": delta})
    await has_run(machine)
    with contextlib.ExitStack() as until_now:
        until_now.enter_context(cut_after(1))
        async with machine.running() as life:
            await ready(life)
            listeners = await statistics(machine, "listener_manager")
            until_now.close()
            await until(lambda: told(life) == "", within=HEALED)
            await until(lambda: life.agent.known().hub.connected)
            assert life.gates.waiting == {}
            assert await statistics(machine, "listener_manager") == listeners, "no listener was drained"
    assert "Envoy rejected" not in caplog.text


@VARIANTS
@pytest.mark.parametrize("responses", [1, 3])
async def test_a_new_cluster_without_endpoints_does_not_keep_envoy_from_starting(
    control_plane: ControlPlane,
    root: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    delta: str,
    responses: int,
) -> None:
    """Envoy waits for the endpoints of all its clusters before it asks for listeners: what was kept comes
    back in one piece.
    """
    machine = Machine(root, control_plane, settings={"ISTIO_DELTA_XDS": delta})
    async with machine.running() as life:
        await ready(life)
        clusters, listeners, _ = await had(machine)
    (tmp_path / "resources/more.yaml").write_text(MORE)
    await restarted(control_plane)
    with contextlib.ExitStack() as until_now:
        until_now.enter_context(cut_after(responses))
        async with machine.running() as life:
            await ready(life)
            assert told(life).startswith("serving last known good, ")
            assert set(clusters) <= set((await had(machine))[0])
            assert set(listeners) <= set((await had(machine))[1])
            until_now.close()
            await until(lambda: told(life) == "", within=HEALED)
            await until_it_has(machine, "more.jd.com")
            assert life.gates.waiting == {}
            assert await resolved(machine.names, "more.jd.com") == ["240.240.9.9"]
    assert "Envoy rejected" not in caplog.text


async def until_it_has(machine: Machine, service: str) -> None:
    """The cluster, warm."""
    async with asyncio.timeout(HEALED):
        while not any(service in name for name in (await had(machine))[0]):  # noqa: ASYNC110  # Envoy is asked
            await asyncio.sleep(0.1)
