"""What systemd hears from the process that holds capture, and what a boot or a stop finds and leaves."""

import contextlib
import json
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.netns.capture.holding import SOON, Agent, captured, gate, wait_until
from tests.netns.capture.machine import Machine, sh


class Systemd:
    """The other end of sd_notify(3)."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "notify"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(self.path))
        self._socket.settimeout(SOON)
        self.heard: list[str] = []

    def until(self, wanted: str) -> None:
        """Raises TimeoutError, with what was heard instead."""
        try:
            while not any(wanted in line for line in self.heard):
                self.heard += self._socket.recv(4096).decode().splitlines()
        except TimeoutError:
            raise AssertionError(f"{wanted!r} is not among {self.heard}") from None

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    made = Systemd(tmp_path)
    yield made
    made.close()


@contextlib.contextmanager
def started(
    machine: Machine, agent: Agent, systemd: Systemd, **environment: str
) -> Iterator["subprocess.Popen[str]"]:
    """The command of the unit."""
    driver = (sys.executable, "-m", "tests.netns.capture.driver", "apply")
    apply = shlex.join((*driver, str(machine.run_directory), json.dumps(machine.env)))
    options = (f"--directory={machine.run_directory}", f"--agent={agent.directory}", f"--apply={apply}")
    variables = [f"{name}={value}" for name, value in environment.items()]
    argv = machine.inside(
        "env", f"NOTIFY_SOCKET={systemd.path}", *variables,
        sys.executable, "-m", "vmagent", "capture", "hold", *options,
    )  # fmt: skip
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


def stopped(process: "subprocess.Popen[str]") -> str:
    """What it said in its life."""
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate(timeout=SOON)
    assert process.returncode == 0, said
    return said


def test_it_is_started_at_once_and_says_what_it_waits_for_and_that_it_lives(
    machine: Machine, agent: Agent, systemd: Systemd
) -> None:
    with started(machine, agent, systemd, WATCHDOG_USEC="2000000") as process:
        systemd.until("READY=1")
        assert systemd.heard[0] == "READY=1", "nothing at boot waits for the mesh"
        systemd.until("STATUS=nothing is captured: config: the agent is not running")
        agent.live()
        agent.open()
        systemd.until("STATUS=traffic goes through Envoy")
        for _ in range(2):
            systemd.heard.clear()
            systemd.until("WATCHDOG=1")
        stopped(process)
        systemd.until("STOPPING=1")
        systemd.until("STATUS=nothing is captured: capture is stopped")


def test_signals_of_log_rotation_change_nothing(machine: Machine, agent: Agent, systemd: Systemd) -> None:
    agent.live()
    agent.open()
    with started(machine, agent, systemd) as process:
        systemd.until("STATUS=traffic goes through Envoy")
        for number in (signal.SIGHUP, signal.SIGUSR1):
            process.send_signal(number)
        agent.close("xds", "istiod is away")
        machine.run("iptables", "-t", "nat", "-D", "PREROUTING", "1")
        wait_until(lambda: machine.verify()["drift"] == [], "going on as before")
        stopped(process)


def test_rules_that_somebody_saved_and_restored_at_boot_are_taken_back_at_the_start(
    machine: Machine, agent: Agent, systemd: Systemd
) -> None:
    before = machine.comparable()
    machine.apply()
    saved = machine.run("iptables-save")
    machine.remove()
    machine.run("iptables-restore", text=saved)
    assert captured(machine)
    with started(machine, agent, systemd) as process:
        systemd.until("STATUS=nothing is captured: config: the agent is not running")
        assert not captured(machine)
        assert "as if restored from a file at boot: taken back" in stopped(process)
    assert rules(machine.comparable()) == rules(before)


def rules(saved: str) -> list[str]:
    """Tables that are empty stay, since nobody knows who made them."""
    return [line for line in saved.splitlines() if line.startswith("-A") or line.endswith(" -")]


def test_a_stop_tries_again_when_the_tools_fail(
    machine: Machine, agent: Agent, systemd: Systemd, tmp_path: Path
) -> None:
    """As when the machine goes down and somebody ends every process."""
    agent.live()
    agent.open()
    with started(machine, agent, systemd) as process:
        systemd.until("STATUS=traffic goes through Envoy")
        broken = tmp_path / "tools"
        broken.mkdir()
        once = f"[ -e {broken}/met ] || {{ touch {broken}/met; kill -TERM $$; }}\n"
        for name in ("", "-save", "-restore"):
            tool = broken / f"iptables-{machine.flavour}{name}"
            tool.write_text(f'#!/bin/sh\n{once}exec /usr/sbin/{tool.name} "$@"\n')
            tool.chmod(0o755)
        path = machine.run_directory / "manifest.json"
        manifest = json.loads(path.read_text())
        manifest["tools"]["iptables"] = str(broken / f"iptables-{machine.flavour}")
        path.write_text(json.dumps(manifest))
        said = stopped(process)
    assert (broken / "met").exists()
    assert "cannot take the rules back yet" in said
    assert not captured(machine)


@pytest.mark.parametrize("nft", [True, False], ids=["only nft", "neither"])
def test_a_host_without_iptables_hears_so_at_the_start_and_the_remedy_works_without_a_restart(
    machine: Machine, agent: Agent, systemd: Systemd, nft: bool
) -> None:
    machine.without_iptables, machine.without_nft = True, not nft
    with started(machine, agent, systemd) as process:
        why = "this host has nft but no iptables" if nft else "there is no iptables on this host"
        systemd.until(f"STATUS=nothing is captured: {why}")
        wait_until(lambda: f"waiting: {why}" in gate(machine), "the gate that says so")
        agent.live()
        agent.open()
        said = process.stdout
        assert said is not None
        while "capture apply failed" not in said.readline():
            pass
        assert "apt-get install iptables" in gate(machine), "also when everything else is ready"
        machine.without_iptables = False
        namespace = f"--target={process.pid}"
        hidden = [f"/usr/sbin/xtables-{each}-multi" for each in ("nft", "legacy")]
        sh("nsenter", namespace, "--mount", "umount", *hidden)
        systemd.until("STATUS=traffic goes through Envoy")
        stopped(process)
