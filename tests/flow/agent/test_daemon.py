"""The daemon as systemd starts it: a process with a socket to tell how it is, and a journal for its log."""

import asyncio
import contextlib
import fcntl
import os
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from lab.controlplane.server import ControlPlane
from tests.conftest import ROOT
from tests.flow.agent.machine import Machine, directory
from tests.flow.xds.machine import until

CODE = """\
import asyncio, os, sys
from pathlib import Path
from vmagent import daemon
from vmagent.config.resolve import Paths
from vmagent.runtime.systemd import Systemd
root = Path(sys.argv[1])
names = {"cluster_env": "cluster.env", "sidecar_env": "sidecar.env", "agent_env": "agent.env", "mesh": "mesh"}
paths = Paths(base=root, **{key: root / name for key, name in names.items()})
asyncio.run(daemon.live(paths, Systemd.of(os.environ, os.getpid()), root / "run"))
"""

SOON = 15.0
PATIENCE = 2
"""Seconds of silence after which systemd would act."""


class Unit:
    """One start of the service: what it told systemd, and what it wrote to the journal."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._notify.bind(str(root / "notify"))
        self._journal, self._stream = socket.socketpair()
        for sock in (self._notify, self._journal):
            sock.setblocking(False)
        self.told: list[str] = []
        self.log = ""
        self.store: dict[str, list[int]] = {}
        """The sockets that it left with systemd, by name."""

    @contextlib.asynccontextmanager
    async def running(self, *, before: str = "") -> AsyncIterator[asyncio.subprocess.Process]:
        """``before``: Python, run in the daemon's process before it."""
        stream = os.fstat(self._stream.fileno())
        left = [(name, number) for name, numbers in self.store.items() for number in numbers]
        places = " ".join(f"{place}<&{number}" for place, (_, number) in enumerate(left, 3))
        script = f'exec {places}; LISTEN_PID=$$ exec "$@"'
        process = await asyncio.create_subprocess_exec(
            "bash", "-c", script, "bash", sys.executable, "-c", before + CODE, str(self._root),
            pass_fds=[number for _, number in left],
            cwd=ROOT, stdout=self._stream.fileno(), stderr=self._stream.fileno(),
            env={
                "PATH": os.defpath,
                "NOTIFY_SOCKET": str(self._root / "notify"),
                "WATCHDOG_USEC": f"{PATIENCE}000000",
                "JOURNAL_STREAM": f"{stream.st_dev}:{stream.st_ino}",
                "ISTIO_SVC_IP": "192.168.0.204",
                "LISTEN_FDS": str(len(left)),
                "LISTEN_FDNAMES": ":".join(name for name, _ in left),
            },
        )  # fmt: skip
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()

    def close(self) -> None:
        for number in (number for numbers in self.store.values() for number in numbers):
            os.close(number)
        for sock in (self._notify, self._journal, self._stream):
            sock.close()

    async def hears(self, words: str, *, within: float = SOON) -> None:
        await self._until(lambda: any(words in line for line in self.told), words, within)

    async def reads(self, words: str) -> None:
        await self._until(lambda: words in self.log, words, SOON)

    async def _until(self, true: Callable[[], bool], words: str, within: float) -> None:
        def seen() -> bool:
            self._look()
            return true()

        try:
            await until(seen, within=within)
        except TimeoutError:
            raise AssertionError(f"no {words!r} in {self.told} and {self.log}") from None

    def _heard(self, lines: list[str], numbers: list[int]) -> None:
        self.told += lines
        name = next((line.removeprefix("FDNAME=") for line in lines if line.startswith("FDNAME=")), "")
        if "FDSTOREREMOVE=1" in lines:
            for number in self.store.pop(name, []):
                os.close(number)
        elif "FDSTORE=1" in lines:
            self.store[name] = [fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 100) for number in numbers]
            for number in numbers:
                os.close(number)

    def _look(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                data, numbers, _, _ = socket.recv_fds(self._notify, 65536, 16)
                self._heard(data.decode().splitlines(), numbers)
        with contextlib.suppress(BlockingIOError):
            while more := self._journal.recv(65536):
                self.log += more.decode()


@pytest.fixture
def root() -> Iterator[Path]:
    with directory() as path:
        (path / "run").mkdir()
        yield path


@pytest.fixture
def unit(root: Path) -> Iterator[Unit]:
    made = Unit(root)
    yield made
    made.close()


async def test_without_its_files_it_is_started_and_says_which_one_is_missing(root: Path, unit: Unit) -> None:
    file = root / "istio.log"
    (root / "agent.env").write_text(f"VMAGENT_LOG_FILE={file}\n")
    async with unit.running() as process:
        await unit.hears("READY=1")
        await unit.hears(f"STATUS=not ready: waiting for {root}/cluster.env (no such file)")
        await unit.reads(f"<4>warn\treadiness\tconfig not ready: waiting for {root}/cluster.env")
        assert f"\twarn\treadiness\tconfig not ready: waiting for {root}/cluster.env" in file.read_text()
        unit.told.clear()
        await unit.hears("WATCHDOG=1")
        (root / "cluster.env").write_text("ISTIO_META_DNS_CAPTURE='perhaps'\n")
        await unit.hears("ISTIO_META_DNS_CAPTURE='perhaps'")
        process.send_signal(signal.SIGTERM)
        await unit.hears("STOPPING=1")
        assert await process.wait() == 0


async def test_a_hung_daemon_falls_silent_and_its_end_says_where_it_hung(root: Path, unit: Unit) -> None:
    async with unit.running() as process:
        await unit.hears("WATCHDOG=1")
        process.send_signal(signal.SIGSTOP)
        with pytest.raises(AssertionError):
            await unit.hears("what was on its way", within=1)
        unit.told.clear()
        with pytest.raises(AssertionError):
            await unit.hears("WATCHDOG=1", within=PATIENCE + 1)
        process.send_signal(signal.SIGABRT)
        process.send_signal(signal.SIGCONT)
        assert await process.wait() == -signal.SIGABRT
        await unit.reads("Fatal Python error: Aborted")
        await unit.reads("base_events.py")


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1])
async def test_a_rotation_reopens_the_log_and_ends_nothing(
    root: Path, unit: Unit, number: signal.Signals
) -> None:
    file = root / "istio.log"
    (root / "agent.env").write_text(f"VMAGENT_LOG_FILE={file}\n")
    async with unit.running() as process:
        await unit.hears("READY=1")
        file.rename(root / "istio.log.old")
        process.send_signal(number)
        await unit.reads(f"<6>info\tlifecycle\t{number.name}: log files are opened again")
        await until(lambda: file.exists() and "opened again" in file.read_text())
        unit.told.clear()
        await unit.hears("WATCHDOG=1")


async def test_the_status_is_kept_current_from_the_first_gate_to_serving_and_back(
    root: Path, unit: Unit, control_plane: ControlPlane
) -> None:
    shutil.rmtree(root / "run")
    Machine(root, control_plane, zipkin=False, dns=True)
    (root / "agent.env").write_text(f"VMAGENT_LOG_FILE={root}/istio.log\n")
    token = (root / "var/run/secrets/tokens/istio-token").rename(root / "later")
    async with unit.running() as process:
        await unit.hears("READY=1")
        await unit.hears("STATUS=not ready: identity (there is no token: ")
        token.rename(root / "var/run/secrets/tokens/istio-token")
        await unit.hears("STATUS=serving as spiffe://cluster.local/ns/istio-demo/sa/vm")
        pid = int((root / "run/envoy.pid").read_text().split()[0])
        process.send_signal(signal.SIGUSR1)
        await unit.reads("SIGUSR1: log files are opened again")
        os.kill(pid, signal.SIGKILL)
        await unit.hears("STATUS=not ready: envoy (Envoy ended after")
        unit.told.clear()
        await unit.hears("STATUS=serving as")
        process.send_signal(signal.SIGTERM)
        await unit.hears("STATUS=not ready: envoy (Envoy is leaving)")
        assert await process.wait() == 0
        await unit.reads("Envoy ended by SIGTERM")
        await unit.reads("<4>warning\tenvoy config ")
    assert "PRIVATE KEY" not in unit.log + (root / "istio.log").read_text()
