"""One daemon after the other: killed, restarted, or the same process with the program on disk. Envoy and the
questions that arrive meanwhile are the same.
"""

import asyncio
import json
import shutil
import signal
import socket
from pathlib import Path

import pytest

from lab.controlplane.server import ControlPlane
from tests.flow.agent.machine import Machine
from tests.flow.agent.test_daemon import SOON, Unit, root, unit
from tests.flow.xds.machine import until
from tests.unit.dns.packets import ask
from vmagent.envoy.bootstrap import EPOCH
from vmagent.envoy.process import ProcessId

__all__ = ["root", "unit"]
"""Fixtures."""

SERVING = "STATUS=serving as spiffe://cluster.local/ns/istio-demo/sa/vm"
ADOPTED = "Envoy of an earlier agent goes on"


SLOW = """\
import asyncio
from dataclasses import replace
from tests.unit.config.vm import HOST
from vmagent.config import load, placing

TWO = replace(HOST, addresses=(*HOST.addresses, replace(HOST.addresses[0], ip="10.7.7.7")))
load.here = lambda paths, role="": load.load(paths, {}, TWO, role=role)

async def here(config, base):
    print("looking", flush=True)
    await asyncio.sleep(1)
    return config

placing.here = here
"""
"""A machine with two addresses."""


HELD = """\
import asyncio
from vmagent.agent import Agent

run = Agent.run

async def held(self, stop):
    await run(self, stop)
    print("everything was left", flush=True)
    await asyncio.sleep(1)

Agent.run = held
"""
"""A moment between the end of the one and the start of the other."""


def machine(root: Path, control_plane: ControlPlane) -> Machine:
    shutil.rmtree(root / "run")
    return Machine(root, control_plane)


def envoy(root: Path) -> int:
    return int((root / "run/envoy.pid").read_text().split()[0])


def command(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


class Asking:
    """A program that asks for the mesh's name once, whoever listens, and waits."""

    def __init__(self, port: int) -> None:
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.setblocking(False)
        self._sock.connect(("127.0.0.1", port))
        self._sock.send(ask("nginx.istio-demo.svc.cluster.local"))

    async def answered(self) -> bytes:
        async with asyncio.timeout(SOON):
            with self._sock:
                return await asyncio.get_running_loop().sock_recv(self._sock, 4096)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGQUIT])
async def test_the_next_daemon_finds_envoy_and_the_questions_that_nobody_answered(
    root: Path, unit: Unit, control_plane: ControlPlane, number: signal.Signals
) -> None:
    vm = machine(root, control_plane)
    async with unit.running() as first:
        await unit.hears(SERVING)
        pid = envoy(root)
        first.send_signal(number)
        assert await first.wait() == (0 if number == signal.SIGQUIT else -number)
    assert ProcessId.of(pid) is not None
    question = Asking(vm.names)
    unit.told.clear()
    async with unit.running() as second:
        assert await question.answered()
        await unit.hears(SERVING)
        await unit.reads(ADOPTED)
        assert envoy(root) == pid
        unit.told.clear()
        second.send_signal(signal.SIGTERM)
        assert await second.wait() == 0
        await unit.hears("FDSTOREREMOVE=1")
        assert unit.store == {}
    assert "gave up" not in unit.log, unit.log
    assert "Traceback" not in unit.log, unit.log
    assert ProcessId.of(pid) is None


async def test_a_reload_is_the_same_process_and_no_question_is_lost(
    root: Path, unit: Unit, control_plane: ControlPlane
) -> None:
    vm = machine(root, control_plane)
    (root / "agent.env").write_text("VMAGENT_LOG_LEVEL=info\n")
    async with unit.running() as process:
        await unit.hears(SERVING)
        pid = envoy(root)
        for _ in range(2):
            unit.log, unit.told = "", []
            process.send_signal(signal.SIGUSR2)
            await unit.reads("leaving: Envoy goes on")
            for rotation in (signal.SIGHUP, signal.SIGUSR1):
                process.send_signal(rotation)
            questions = [Asking(vm.names) for _ in range(20)]
            assert all([await question.answered() for question in questions])
            await unit.reads(ADOPTED)
            await unit.hears(SERVING)
            assert envoy(root) == pid
        told = Path(f"/proc/{process.pid}/environ").read_bytes()
        assert b"LISTEN_PID=%d\0" % process.pid in told
        unit.told.clear()
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
        await unit.hears("FDSTOREREMOVE=1")
    assert ProcessId.of(pid) is None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", vm.names))


async def test_an_operators_own_bootstrap_takes_over_and_gives_back(
    root: Path, unit: Unit, control_plane: ControlPlane
) -> None:
    """Whoever takes over gets the configuration, whichever of the two is the last to find the agent again."""
    machine(root, control_plane)
    (root / "agent.env").write_text("VMAGENT_LOG_LEVEL=info\n")
    mesh = (root / "mesh").read_text() + "  drainDuration: 1s\n  parentShutdownDuration: 2s\n"
    (root / "mesh").write_text(mesh)
    async with unit.running() as process:
        await unit.hears(SERVING)
        pids = [envoy(root)]
        made = json.loads((root / "etc/istio/proxy/envoy-rev0.json").read_text())
        del made["node"]["metadata"][EPOCH]
        for name in ("own.json", "other.yaml", ""):
            if name:
                (root / name).write_text(json.dumps(made))
            (root / "mesh").write_text(mesh + (f"  customConfigFile: {root / name}\n" if name else ""))
            process.send_signal(signal.SIGUSR2)
            await until(lambda: ProcessId.of(pids[-1]) is None, within=SOON)
            unit.told.clear()
            await unit.hears(SERVING)
            pids.append(envoy(root))
            assert (name or "envoy-rev3.json").encode() in command(pids[-1])
        assert len(set(pids)) == 4
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


async def test_a_stop_right_after_a_reload_is_a_stop(
    root: Path, unit: Unit, control_plane: ControlPlane
) -> None:
    machine(root, control_plane)
    async with unit.running(before=HELD) as process:
        await unit.hears(SERVING)
        pid = envoy(root)
        process.send_signal(signal.SIGUSR2)
        await unit.reads("everything was left")
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0
    await unit.reads("SIGTERM: stopping")
    await unit.reads("Envoy ended by SIGTERM")
    assert "without a drain" not in unit.log
    assert (root / "run/leaving").exists()
    assert ProcessId.of(pid) is None


@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGTERM])
async def test_a_signal_while_the_machines_addresses_are_looked_at_leaves_envoy_to_the_next_one(
    root: Path, unit: Unit, control_plane: ControlPlane, number: signal.Signals
) -> None:
    """The control plane's name takes its time. There is nothing yet that could end Envoy well."""
    machine(root, control_plane)
    async with unit.running() as first:
        await unit.hears(SERVING)
        pid = envoy(root)
        first.send_signal(signal.SIGQUIT)
        assert await first.wait() == 0
    async with unit.running(before=SLOW) as second:
        await unit.reads("looking")
        second.send_signal(number)
        assert await second.wait() == 0
    assert envoy(root) == pid
    assert ProcessId.of(pid) is not None
    assert not (root / "run/leaving").exists()
    async with unit.running() as third:
        await unit.reads(ADOPTED)
        third.send_signal(signal.SIGTERM)
        assert await third.wait() == 0
    assert ProcessId.of(pid) is None


async def test_a_port_that_is_taken_for_a_while_leaves_nothing_in_the_way(
    root: Path, unit: Unit, control_plane: ControlPlane
) -> None:
    vm = machine(root, control_plane)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("0.0.0.0", vm.status))
        other.listen()
        async with unit.running() as process:
            await unit.hears(f"{vm.status}")
            assert unit.store == {}
            other.close()
            await unit.hears(SERVING)
            process.send_signal(signal.SIGTERM)
            assert await process.wait() == 0
