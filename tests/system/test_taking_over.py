"""A machine on which Istio's own package runs gets ours by dpkg -i, and nobody who is logged in notices."""

import ctypes
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.demo import joining, story
from lab.demo.stage import DESK, Stage
from lab.hosts.lab import Lab
from lab.hosts.machine.host import SystemdHost
from tests.staging import staged
from tests.system import operator, standin
from tests.system.conftest import run

VM = "192.168.0.204"
_CLONE_NEWNET = 0x40000000


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    lab = Lab("takeover", {"vm": "iptables"})
    with staged(lab) as stage:
        story.begin(stage)
        joining.describe(stage)
        stage.carry("vm", "istiod", "vm")
        yield stage


@pytest.fixture
def istios(tmp_path: Path) -> Path:
    standin.lay_out(tmp_path / "tree")
    packed = tmp_path / "istio-sidecar.deb"
    run("dpkg-deb", "--root-owner-group", "--build", tmp_path / "tree", packed)
    return packed


@contextmanager
def standing_in(network: Path) -> Iterator[None]:
    setns = ctypes.CDLL(None, use_errno=True).setns
    with Path("/proc/thread-self/ns/net").open() as home, network.open() as there:
        assert setns(there.fileno(), _CLONE_NEWNET) == 0, os.strerror(ctypes.get_errno())
        try:
            yield
        finally:
            assert setns(home.fileno(), _CLONE_NEWNET) == 0


@contextmanager
def logged_in(stage: Stage) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a connection to the machine's port 22."""
    with standing_in(stage.lab.host("vm").network):
        listener = socket.create_server((VM, 22))
    with listener:
        with standing_in(stage.lab.host("docker").network):
            client = socket.create_connection((VM, 22), 5)
        server, _ = listener.accept()
    with client, server:
        server.settimeout(5)
        yield client, server


def test_the_package_takes_over_from_istios_own_and_open_logins_live_through_it(
    stage: Stage, istios: Path, package: Path
) -> None:
    vm = stage.lab.machine("vm")
    name = operator.carry(vm, istios)
    vm.run(["mv", f"{DESK}/{name}", f"{DESK}/vm/"])
    for command in operator.BLOCK:
        vm.run(["bash", "-c", command.format(package=name)], cwd=f"{DESK}/vm")
    vm.run(["systemctl", "enable", "istio"])
    stage.until(
        "Istio's own rules", lambda: "ISTIO_IN_REDIRECT" in vm.run(["iptables-save"]).stdout, within=10
    )
    files = {path: vm.read(path) for path in ("/var/lib/istio/envoy/cluster.env", "/etc/istio/config/mesh")}

    with logged_in(stage) as (client, server):
        for _ in range(2):
            client.sendall(b"who")
            assert server.recv(10) == b"who"
        operator.install(vm, package)
        operator.until_joined(stage, "vm")
        server.sendall(b"root")
        assert client.recv(10) == b"root"
        client.sendall(b"exit")
        assert server.recv(10) == b"exit"

    assert_taken_over(stage, vm)
    assert {path: vm.read(path) for path in files} == files


def assert_taken_over(stage: Stage, vm: SystemdHost) -> None:
    state = vm.run(["dpkg-query", "-W", "-f=${db:Status-Status}", "istio-sidecar"], check=False).stdout
    assert state in ("config-files", "not-installed", "")
    assert vm.run(["readlink", "/etc/istio"]).stdout == "/var/lib/istio\n"
    rules = vm.run(["iptables-save"]).stdout.splitlines()
    assert [line for line in rules if " -j ISTIO" in line and "istio-agent:" not in line] == []
    assert not vm.exists("/usr/local/bin/istio-start.sh")
    assert not vm.exists("/var/lib/istio-agent/taken-over")
    assert vm.show("istio", "Id")["Id"] == "istio-agent.service"
    assert vm.run(["systemctl", "is-enabled", "istio-agent"]).stdout == "enabled\n"
    assert stage.quietly("vm", "pgrep -f '[p]ilot-agent'; pgrep -x tail") == ""
    vm.reboot()
    operator.until_joined(stage, "vm")


def test_afterwards_the_other_package_can_be_purged_and_nothing_changes(stage: Stage) -> None:
    vm = stage.lab.machine("vm")
    vm.run(["dpkg", "--purge", "istio-sidecar"], check=False)
    assert vm.exists("/var/lib/istio/envoy/cluster.env")
    operator.until_joined(stage, "vm")
