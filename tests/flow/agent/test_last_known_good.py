"""A machine that starts without its control plane, as the whole agent in process with a real Envoy."""

import asyncio
import contextlib
import json
import logging
import os
import signal
import time
import urllib.request
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from dnslib import DNSRecord

from lab.controlplane.server import ControlPlane
from tests.flow.agent.machine import Life, Machine, without_real_sockets
from tests.flow.agent.test_life import ready
from tests.flow.xds.machine import until
from vmagent import reporting

MINUTES = 12


async def back(control_plane: ControlPlane) -> None:
    await control_plane.start()
    without_real_sockets(control_plane)


@contextlib.asynccontextmanager
async def away(control_plane: ControlPlane) -> AsyncIterator[None]:
    await control_plane.stop()
    try:
        yield
    finally:
        await back(control_plane)


async def has_run(machine: Machine) -> Path:
    """What a run with the control plane leaves on disk."""
    async with machine.running() as life:
        await ready(life)
    return machine.root / "etc/istio/proxy/last-known-good"


def changed(root: Path, before: str, after: str) -> None:
    """A line of cluster.env."""
    text = (root / "cluster.env").read_text()
    assert before in text
    (root / "cluster.env").write_text(text.replace(before, after, 1))


def aged(path: Path, minutes: float) -> None:
    then = time.time() - minutes * 60 - 1
    os.utime(path, (then, then))


async def fetched(port: int, path: str) -> Any:
    def fetch() -> Any:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return json.load(answer)

    return await asyncio.to_thread(fetch)


async def resolved(port: int, name: str) -> list[str]:
    query = DNSRecord.question(name)
    answer = await asyncio.to_thread(query.send, "127.0.0.1", port, timeout=3)
    return [str(record.rdata) for record in DNSRecord.parse(answer).rr]


def told(life: Life) -> str:
    return reporting.facts(life.agent.known()).stale


async def configured(machine: Machine) -> dict[str, list[str]]:
    """Names of what Envoy runs with, by type."""
    found: dict[str, list[str]] = {}
    for part in (await fetched(machine.admin, "/config_dump?include_eds"))["configs"]:
        for kind in ("dynamic_active_clusters", "dynamic_listeners", "dynamic_endpoint_configs"):
            for each in part.get(kind, ()):
                found.setdefault(kind, []).append(each.get("name") or json.dumps(each, sort_keys=True))
    return found


@pytest.mark.parametrize("delta", ["true", "false"], ids=["incremental", "state of the world"])
async def test_without_its_control_plane_a_machine_comes_up_from_what_envoy_accepted_last(
    control_plane: ControlPlane, root: Path, caplog: pytest.LogCaptureFixture, delta: str
) -> None:
    machine = Machine(root, control_plane, settings={"ISTIO_DELTA_XDS": delta})
    async with machine.running() as life:
        await ready(life)
        names = await resolved(machine.names, "nginx.jd.com")
        before = await configured(machine)
    kept = root / "etc/istio/proxy/last-known-good"
    aged(kept, MINUTES)
    machine.token.unlink()  # /var/run/secrets is memory
    await control_plane.stop()
    async with machine.running() as life:
        began = time.monotonic()
        await ready(life)
        assert time.monotonic() - began < 5.0
        assert told(life) == f"serving last known good, {MINUTES} minutes old"
        assert await resolved(machine.names, "nginx.jd.com") == names != []
        after = await configured(machine)
        assert after["dynamic_active_clusters"] != []
        assert {kind: len(each) for kind, each in after.items()} == {k: len(v) for k, v in before.items()}
        assert await fetched(machine.status, "/healthz/ready") == {"xds": told(life)}
        listeners = await statistics(machine, "listener_manager")
        caplog.clear()
        await back(control_plane)
        await until(lambda: told(life) == "", within=20)
        await until(lambda: life.agent.known().hub.connected)
        assert life.gates.waiting == {}
        assert await fetched(machine.status, "/healthz/ready") == {}
        assert await statistics(machine, "listener_manager") == listeners, "no listener was drained"
    assert "Envoy rejected" not in caplog.text


async def test_an_envoy_that_dies_without_a_control_plane_gets_all_of_it_again(
    control_plane: ControlPlane, root: Path
) -> None:
    machine = Machine(root, control_plane)
    await has_run(machine)
    async with away(control_plane), machine.running() as life:
        await ready(life)
        before = await configured(machine)
        os.kill(envoy(machine), signal.SIGKILL)
        await until(lambda: "envoy" in life.gates.waiting)
        await ready(life)
        after = await configured(machine)
        assert {kind: len(each) for kind, each in after.items()} == {k: len(v) for k, v in before.items()}


def envoy(machine: Machine) -> int:
    return int((machine.run_dir / "envoy.pid").read_text().split()[0].partition(":")[0])


async def statistics(machine: Machine, prefix: str) -> Mapping[str, int]:
    """What tells a listener that stays from one that is replaced."""
    stats = (await fetched(machine.admin, f"/stats?format=json&filter=^{prefix}"))["stats"]
    wanted = ("listener_added", "listener_modified", "listener_removed", "listener_in_place_updated")
    return {each["name"]: each["value"] for each in stats if each.get("name", "").endswith(wanted)}


async def test_a_control_plane_that_is_there_is_asked_and_nothing_old_is_served(
    control_plane: ControlPlane, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    machine = Machine(root, control_plane)
    await has_run(machine)
    caplog.set_level(logging.INFO)
    async with machine.running() as life:
        await ready(life)
        assert told(life) == ""
    assert "last known good" not in caplog.text


async def never_served(machine: Machine, life: Life) -> None:
    """Until well after the moment at which it would be."""
    await until(lambda: life.gates.is_open("identity"), within=10)
    await asyncio.sleep(1.0)
    assert "xds" in life.gates.waiting
    assert told(life) == ""


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda data: data[:-7], "is damaged or cut off"),
        (lambda data: data.replace(b"nginx", b"nginX", 1), "is damaged or cut off"),
        (lambda data: data.replace(b"format 2", b"format 9", 1), "has format '9'; this version knows 2"),
        (lambda data: b"", "is no such file"),
    ],
    ids=["truncated", "altered", "of another version", "empty"],
)
async def test_a_damaged_file_is_set_aside_with_one_line_and_never_served(
    control_plane: ControlPlane, root: Path, caplog: pytest.LogCaptureFixture, damage: Any, why: str
) -> None:
    machine = Machine(root, control_plane)
    kept = await has_run(machine)
    kept.write_bytes(damaged := damage(kept.read_bytes()))
    async with away(control_plane), machine.running() as life:
        await never_served(machine, life)
    lines = [each.getMessage() for each in caplog.records if "last-known-good" in each.getMessage()]
    assert len(lines) == 1
    assert why in lines[0]
    assert not kept.exists()
    assert kept.with_name("last-known-good.damaged").read_bytes() == damaged


async def test_the_state_of_another_machine_is_never_served(
    control_plane: ControlPlane, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    machine = Machine(root, control_plane)
    await has_run(machine)
    changed(root, "ISTIO_META_NETWORK=''", "ISTIO_META_NETWORK='elsewhere'")
    async with away(control_plane), machine.running() as life:
        await never_served(machine, life)
    assert "is of another machine: network unknown, here elsewhere" in caplog.text


async def test_what_is_older_than_allowed_is_not_served(
    control_plane: ControlPlane, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    machine = Machine(root, control_plane, settings={"VMAGENT_LAST_KNOWN_GOOD_MAX_AGE": "10m"})
    aged(await has_run(machine), MINUTES)
    async with away(control_plane), machine.running() as life:
        await never_served(machine, life)
    assert "12 minutes old, and VMAGENT_LAST_KNOWN_GOOD_MAX_AGE allows 600 s" in caplog.text


async def test_where_the_setting_says_no_nothing_is_kept_and_nothing_served(
    control_plane: ControlPlane, root: Path
) -> None:
    machine = Machine(root, control_plane)
    kept = await has_run(machine)
    assert kept.exists()
    changed(root, "DNS_PROXY_ADDR", "VMAGENT_LAST_KNOWN_GOOD='false'\nDNS_PROXY_ADDR")
    async with away(control_plane), machine.running() as life:
        await never_served(machine, life)
        await until(lambda: not kept.exists())


async def test_without_a_valid_identity_nothing_is_served(control_plane: ControlPlane, root: Path) -> None:
    machine = Machine(root, control_plane, settings={"SECRET_TTL": "3s"})
    await has_run(machine)
    machine.token.unlink()
    async with away(control_plane):
        await asyncio.sleep(3.5)  # the certificate expires
        async with machine.running() as life:
            await asyncio.sleep(1.0)
            assert "identity" in life.gates.waiting
            assert "xds" in life.gates.waiting
            assert told(life) == ""
