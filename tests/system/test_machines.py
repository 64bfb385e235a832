"""A machine of the lab is a Debian with its own systemd, disk and network; the lab leaves nothing of it."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.hosts.errors import LabError
from lab.hosts.lab import Lab
from lab.hosts.machine import cgroup
from lab.hosts.machine.host import SystemdHost
from lab.hosts.world import Places
from tests.conftest import ROOT
from tests.system import snapshot

NAME = "metal"
MACHINES = {"istiod": "controlplane", "vm": "iptables", "client": "nftables"}


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    lab = Lab(NAME, MACHINES)
    lab.down()
    lab.up()
    yield lab
    lab.down()


@pytest.fixture
def vm(lab: Lab) -> SystemdHost:
    return lab.machine("vm")


@pytest.fixture
def other() -> Iterator[Lab]:
    lab = Lab("metal-2", {"vm": "iptables"})
    lab.down()
    yield lab
    lab.down()


def programs(host: SystemdHost, *names: str) -> list[str]:
    return [name for name in names if host.run(["which", name], check=False).returncode == 0]


def test_what_the_package_must_bring_along_is_on_no_machine_that_gets_it(lab: Lab) -> None:
    wanted = ("iptables", "nft", "python3", "envoy", "vmagent")
    found = {name: programs(lab.machine(name), *wanted) for name in MACHINES}
    assert found == {"vm": ["iptables"], "client": ["nft"], "istiod": ["python3"]}


def test_systemd_is_the_first_process_and_has_nothing_to_complain_of(lab: Lab) -> None:
    for name in MACHINES:
        host = lab.machine(name)
        assert host.run(["cat", "/proc/1/comm"]).stdout == "systemd\n"
        assert host.state() == "running"


def test_every_host_of_either_kind_reaches_every_other(lab: Lab) -> None:
    for here in lab.hosts:
        for there in lab.hosts:
            here.run(["ping", "-c1", "-W2", there.address])


def test_a_machine_is_called_and_asks_as_in_the_documents(vm: SystemdHost) -> None:
    assert vm.run(["hostname"]).stdout == "vm204\n"
    assert "nameserver 127.0.0.53\n" in vm.read("/etc/resolv.conf")
    assert vm.run(["dig", "+short", "outside.example"]).stdout == "192.168.0.70\n"
    assert vm.run(["dig", "+short", "istiod.istio-system.svc"]).stdout == ""


def test_machines_have_no_network_but_the_bridge(vm: SystemdHost) -> None:
    assert vm.run(["sh", "-c", "ls /sys/class/net"]).stdout.split() == ["eth0", "lo"]
    assert vm.run(["ping", "-c1", "-W1", "1.1.1.1"], check=False).returncode != 0


def test_what_is_spawned_is_a_unit_whose_end_is_known(vm: SystemdHost) -> None:
    process = vm.spawn(["sh", "-c", "echo said; exit 42"], log="/var/log/spawned/short.log")
    assert process.wait(5) == 42
    assert vm.read("/var/log/spawned/short.log") == "said\n"
    sleeping = vm.spawn(["sleep", "4714"], user="nobody", log="/var/log/spawned/long.log")
    assert vm.run(["stat", "-c", "%U", f"/proc/{sleeping.pid}"]).stdout == "nobody\n"
    assert sleeping.stop(5) == -signal.SIGTERM


def test_a_command_that_is_not_there_is_no_process(vm: SystemdHost) -> None:
    with pytest.raises(LabError, match=r"not started: .*/no/such/program"):
        vm.spawn(["/no/such/program"], log="/var/log/none.log")


def test_the_disk_outlives_a_reboot_and_what_the_kernel_knew_does_not(vm: SystemdHost) -> None:
    address = Path("/sys/class/net/eth0/address")
    before = vm.read(str(address))
    vm.write("/etc/kept", "x")
    vm.run(["iptables", "-A", "OUTPUT", "-d", "192.0.2.1", "-j", "DROP"])
    vm.run(["sysctl", "-q", "-w", "net.ipv4.ip_forward=1"])
    boots = len(vm.journal("--list-boots").splitlines())
    pid = vm.pid
    vm.reboot()
    assert vm.pid != pid
    assert vm.read("/etc/kept") == "x"
    assert "192.0.2.1" not in vm.run(["iptables-save"]).stdout
    assert vm.read("/proc/sys/net/ipv4/ip_forward") == "0\n"
    assert vm.read(str(address)) == before
    assert len(vm.journal("--list-boots").splitlines()) == boots + 1
    assert vm.run(["dig", "+short", "outside.example"]).stdout == "192.168.0.70\n"


def test_a_machine_that_is_off_answers_nobody_until_it_is_on_again(lab: Lab, vm: SystemdHost) -> None:
    ping = ["ping", "-c1", "-W1", vm.address]
    vm.power_off()
    assert not vm.up
    assert not lab.is_up
    assert lab.host("docker").run(ping, check=False).returncode != 0
    with pytest.raises(LabError, match="vm is not up"):
        vm.run(["true"])
    vm.power_on()
    lab.host("docker").run(ping)
    with pytest.raises(LabError, match="is on"):
        vm.power_on()


def test_a_pulled_plug_ends_everything_at_once_and_the_disk_stays(vm: SystemdHost) -> None:
    process = vm.spawn(["sleep", "4715"], log="/var/log/spawned/plug.log")
    vm.write("/etc/written", "y")
    vm.pull_plug()
    assert not process.alive
    vm.power_on()
    assert vm.read("/etc/written") == "y"


def test_a_lab_that_stands_is_known_without_saying_what_it_was_made_of(lab: Lab) -> None:
    assert {host.name for host in Lab(NAME).hosts if host.boots} == MACHINES.keys()
    with pytest.raises(LabError, match="has no systemd of its own"):
        Lab(NAME).machine("docker")


def test_a_machine_boots_within_seconds(vm: SystemdHost) -> None:
    began = time.monotonic()
    vm.reboot()
    assert time.monotonic() - began < 10


def test_what_is_left_on_a_machine_is_seen_and_what_is_not_touched_is_not(vm: SystemdHost) -> None:
    before = snapshot.take(vm)
    assert snapshot.traces(before, snapshot.take(vm)) == []
    vm.write("/var/lib/left/file", "x")
    vm.append("/etc/hosts", "# left\n")
    vm.run(["chmod", "0700", "/opt"])
    vm.run(["touch", "/usr/bin/env"])
    vm.run(["iptables", "-A", "OUTPUT", "-d", "192.0.2.1", "-j", "DROP"])
    vm.run(["sysctl", "-q", "-w", "net.ipv4.ip_forward=1"])
    vm.write("/etc/systemd/system/left.service", "[Service]\nExecStart=true\n")
    seen = "\n".join(snapshot.traces(before, snapshot.take(vm)))
    for trace in (
        "/var/lib/left/file: nothing -> f 644 root:root",
        "/etc/hosts: f 644",
        "/opt: d 755 root:root -> d 700 root:root",
        "/usr/bin/env: f 755",
        "192.0.2.1",
        "net.ipv4.ip_forward: 0 -> 1",
        "units: left.service",
    ):
        assert trace in seen


def traces(name: str) -> list[str]:
    """Whatever of the lab of this name can still be seen."""
    places = Places(name)
    found = [str(path) for path in (places.state, *places.networks) if path.exists()]
    found += [str(group) for top in cgroup.hierarchies() for group in top.glob(f"vmlab-{name}-*")]
    found += [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f"/{name}/" in line]
    ps = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return found + [line for line in ps.splitlines() if re.search(rf"nspawn.*{name}-|chassis {name} ", line)]


def own_machine() -> dict[str, str]:
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return {
        "mounts": "\n".join(line for line in mounts if " nsfs " not in line),
        "systemd": "\n".join(sorted(map(str, Path("/run/systemd").glob("nspawn/*/*")))),
        "tmp": "\n".join(sorted(path.name for path in Path("/tmp").glob("*nspawn*"))),
        "hosts": Path("/etc/hosts").read_text(),
        "hostname": os.uname().nodename,
    }


def test_the_carrying_machine_is_not_touched_and_down_leaves_nothing(other: Lab) -> None:
    before = own_machine()
    other.up()
    other.machine("vm").spawn(["sleep", "4716"], log="/var/log/sleep.log")
    assert own_machine() == before
    other.down()
    assert own_machine() == before
    assert traces(other.name) == []


@pytest.mark.parametrize("victim", ["chassis", "nspawn", "first process"])
def test_whatever_of_a_machine_is_killed_down_leaves_nothing(other: Lab, victim: str) -> None:
    other.up()
    leader = other.machine("vm").pid
    nspawn = parent(leader)
    os.kill({"first process": leader, "nspawn": nspawn, "chassis": parent(nspawn)}[victim], signal.SIGKILL)
    other.down()
    assert traces(other.name) == []


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.parametrize("moment", ["init", "disk"])
def test_a_starter_that_was_killed_leaves_nothing_that_down_does_not_find(other: Lab, moment: str) -> None:
    script = f"from lab.hosts.lab import Lab; Lab({other.name!r}, {{'vm': 'iptables'}}).up()"
    starter = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT)
    deadline = time.monotonic() + 20
    while not (Places(other.name).host_state("vm") / moment).exists():
        assert time.monotonic() < deadline
    starter.kill()
    starter.wait()
    other.down()
    assert traces(other.name) == []


def test_a_machine_that_does_not_boot_says_why(other: Lab) -> None:
    unknown = Lab(other.name, {"vm": "no-such-tree"})
    with pytest.raises(LabError, match="no-such-tree"):
        unknown.up()
    assert traces(other.name) == []
