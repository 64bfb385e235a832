"""One daemon after the other: killed, restarted, or the same process with the program on disk. Envoy and the
questions that arrive meanwhile are the same.
"""

import asyncio
import shutil
import signal
import socket
from pathlib import Path

import pytest

from lab.controlplane.server import ControlPlane
from tests.flow.agent.machine import Machine
from tests.flow.agent.test_daemon import SOON, Unit, root, unit
from tests.unit.dns.packets import ask
from vmagent.envoy.process import ProcessId

__all__ = ["root", "unit"]
"""Fixtures."""

SERVING = "STATUS=serving as spiffe://cluster.local/ns/istio-demo/sa/vm"
ADOPTED = "Envoy of an earlier agent goes on"


def machine(root: Path, control_plane: ControlPlane) -> Machine:
    shutil.rmtree(root / "run")
    return Machine(root, control_plane)


def envoy(root: Path) -> int:
    return int((root / "run/envoy.pid").read_text().split()[0])


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
