"""The story once more on Debian's own kernel: a virtual machine that is emulated, in a mesh of namespaces.
The tests are one story, in this order.
"""

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.demo import joining, resilience, story, traffic
from lab.demo.names import CONFIGURE, CURL, ENTRY, GET_ENTRY, INSTALL, OUTSIDE_ANSWER, VM_ANSWER
from lab.demo.saved import undone
from lab.demo.stage import DESK, SCENARIO, Stage
from lab.hosts import services
from lab.hosts.lab import Lab
from lab.hosts.machine.host import SystemdHost
from lab.hosts.virtual import layer
from tests.staging import staged
from tests.system import operator
from tests.system.operator import Journal
from tests.system.traffic import PYTHON
from tests.system.traffic import traffic as requests

EATER = Path(__file__).with_name("eater.py")
UNIT = "istio-agent"
CGROUP = f"/sys/fs/cgroup/system.slice/{UNIT}.service"
EITHER = "iptables-nft-save; ip6tables-nft-save; iptables-legacy-save; ip6tables-legacy-save"
MORE = 128 << 20
"""Bytes that the unit may have beside what it uses when its memory is limited."""

SLOWLY = 240.0
"""Seconds for what takes a real processor a few."""


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    lab = Lab("kernel", {"vm": layer.NAME})
    with staged(lab) as stage:
        story.begin(stage)
        joining.describe(stage)
        stage.carry("vm", "istiod", "vm")
        _client_joins(stage)
        stage.kept["either"] = stage.quietly("vm", EITHER)
        yield stage


def _client_joins(stage: Stage) -> None:
    """A pod with a sidecar, made of namespaces."""
    stage.lab.host("istiod").copy_in(SCENARIO / "client-sidecar.yaml", f"{DESK}/client-sidecar.yaml")
    stage.type("istiod", f"{CONFIGURE} -f client-sidecar.yaml -o client")
    stage.carry("client", "istiod", "client")
    for command in INSTALL:
        stage.quietly("client", command.format("client"))
    joining.start(stage, "client")
    operator.until_joined(stage, "client")


@pytest.fixture
def vm(stage: Stage) -> SystemdHost:
    return stage.lab.machine("vm")


def joined(vm: SystemdHost) -> None:
    """Capture comes last."""
    vm.run(["vmagent", "wait", "--timeout", f"{SLOWLY:g}", "capture"], timeout=SLOWLY + 30)


def crosses_the_mesh(stage: Stage) -> None:
    """Both ways, over mutual TLS, by names of both worlds."""
    operator.until_answered(stage)
    traffic.reached_outside(stage, "vm")
    for name, address in (("nginx.jd.com", r"240\.240\.\d+\.\d+"), ("outside.example", r"192\.168\.0\.70")):
        told = stage.type("vm", f"dig +short -p 15053 @127.0.0.1 {name}")
        assert re.fullmatch(address, told.strip())


def envoy(stage: Stage) -> str:
    """Its pid."""
    return stage.quietly("vm", "pgrep -x envoy").strip()


def test_the_machine_has_another_kernel_and_its_own_systemd(vm: SystemdHost) -> None:
    kernel = vm.run(["uname", "-rv"]).stdout
    assert "Debian" in kernel
    assert os.uname().release not in kernel
    assert vm.run(["systemd-detect-virt"]).stdout.strip() == "qemu"
    assert vm.state() == "running"


def test_the_documents_block_brings_it_into_the_mesh(
    stage: Stage, vm: SystemdHost, light_package: Path
) -> None:
    name = operator.carry(vm, light_package)
    vm.run(["mv", f"{DESK}/{name}", f"{DESK}/vm/"])
    for command in operator.BLOCK:
        vm.run(["bash", "-c", command.format(package=name)], cwd=f"{DESK}/vm", timeout=SLOWLY)
    joined(vm)
    stage.until("it registers", lambda: ENTRY in stage.mesh_quietly(GET_ENTRY), within=10)
    assert vm.show(UNIT, "User", "NRestarts") == {"User": "istio-proxy", "NRestarts": "0"}


def test_traffic_crosses_the_mesh_in_both_directions(stage: Stage) -> None:
    traffic.healthy(stage)
    crosses_the_mesh(stage)
    stage.services["docker"] = services.start_application(stage.lab.host("docker"))
    stage.mesh("apply -f docker-pod.yaml")
    traffic.other_direction(stage)
    traffic.route(stage, 100, 0)  # the pod is a backend, too
    crosses_the_mesh(stage)


def test_the_rules_are_those_of_nf_tables_in_that_kernel(stage: Stage, vm: SystemdHost) -> None:
    assert "nf_tables" in vm.run(["iptables", "--version"]).stdout
    rules = stage.quietly("vm", "iptables-nft-save -c")
    for chain, port in (("ISTIO_REDIRECT", 15001), ("ISTIO_IN_REDIRECT", 15006)):
        found = re.search(rf"^\[(\d+):\d+\] -A {chain} .*--to-ports {port}$", rules, re.M)
        assert found is not None, rules
        assert int(found[1]) > 0  # connections went through it
    assert "ISTIO_" not in stage.quietly("vm", "iptables-legacy-save")
    assert "nf_conntrack" in stage.quietly("vm", "lsmod")


def test_memory_that_runs_out_takes_the_agent_and_no_connection(stage: Stage, vm: SystemdHost) -> None:
    before, agent = envoy(stage), vm.show(UNIT, "MainPID")["MainPID"]
    journal = Journal(vm)
    vm.copy_in(EATER, f"{DESK}/eater.py")
    with requests(stage, hosts=("client",)) as report, limited(vm):
        vm.run(inside_the_unit(f"{PYTHON} -I {DESK}/eater.py {CGROUP}/memory.events"), timeout=SLOWLY)
    stage.until(
        "another agent", lambda: vm.show(UNIT, "MainPID")["MainPID"] not in (agent, "0"), within=SLOWLY
    )
    joined(vm)
    crosses_the_mesh(stage)
    print(report.row("memory runs out, another kernel"))
    assert envoy(stage) == before
    assert report.lost == {}
    journal.until_said(UNIT, "killed by the OOM killer", "Envoy of an earlier agent goes on")


@contextmanager
def limited(vm: SystemdHost) -> Iterator[None]:
    """The unit may have little more memory than it uses. Something of it is ended by the kernel meanwhile."""
    before = _killed(vm)
    limit = int(vm.read(f"{CGROUP}/memory.current")) + MORE
    vm.run(["systemctl", "set-property", "--runtime", UNIT, f"MemoryMax={limit}"])
    try:
        yield
        assert _killed(vm) == before + 1
    finally:
        vm.run(["systemctl", "set-property", "--runtime", UNIT, "MemoryMax=infinity"])


def inside_the_unit(command: str) -> list[str]:
    """SSH does not tell which signal ended a command, a shell does."""
    return ["sh", "-c", 'sh -c "$0"; exit $?', f"echo $$ >{CGROUP}/cgroup.procs; exec {command}"]


def test_what_eats_the_units_memory_goes_alone(stage: Stage, vm: SystemdHost) -> None:
    """OOMPolicy=continue: neither agent nor Envoy pays for a third process, an exec probe for instance."""
    before, agent = envoy(stage), vm.show(UNIT, "MainPID")["MainPID"]
    with limited(vm):
        assert vm.run(inside_the_unit("tail /dev/zero"), check=False).returncode == 128 + signal.SIGKILL
    assert (envoy(stage), vm.show(UNIT, "MainPID")["MainPID"]) == (before, agent)
    assert operator.active(vm)[UNIT] == "active"


def _killed(vm: SystemdHost) -> int:
    """How many processes of the unit the kernel has ended for want of memory."""
    events = dict(line.split() for line in vm.read(f"{CGROUP}/memory.events").splitlines())
    return int(events["oom_kill"])


def test_a_stop_leaves_no_trace(stage: Stage, vm: SystemdHost) -> None:
    vm.run(["systemctl", "stop", "istio"], timeout=SLOWLY)
    leaves_no_trace(stage, vm)


def leaves_no_trace(stage: Stage, vm: SystemdHost) -> None:
    inactive = {"istio-agent": "inactive", "istio-capture": "inactive"}
    stage.until("both are stopped", lambda: operator.active(vm) == inactive, within=SLOWLY)
    assert stage.quietly("vm", "pgrep -u istio-proxy; pgrep -x envoy; ls /dev/shm") == ""
    rules = stage.quietly("vm", f"({EITHER}) | grep -v istio-agent-hold")
    assert undone(stage.kept["either"], rules), rules
    assert stage.quietly("vm", f"{CURL} outside.example").strip() == OUTSIDE_ANSWER
    assert stage.quietly("docker", f"{CURL} 192.168.0.204").strip() == VM_ANSWER


def test_the_rules_of_a_legacy_host_do_the_same(stage: Stage, vm: SystemdHost) -> None:
    """The other half of netfilter: python-iptables and ip_tables."""
    for name in ("iptables", "ip6tables"):
        vm.run(["update-alternatives", "--set", name, f"/usr/sbin/{name}-legacy"])
    vm.run(["systemctl", "start", "istio"], timeout=SLOWLY)
    joined(vm)
    crosses_the_mesh(stage)
    assert "ISTIO_REDIRECT" in stage.quietly("vm", "iptables-legacy-save")
    assert "ISTIO_" not in stage.quietly("vm", "iptables-nft-save")


def test_a_machine_that_loses_its_power_comes_back_by_itself(stage: Stage, vm: SystemdHost) -> None:
    """What its kernel had not yet written is lost with it."""
    vm.pull_plug()
    vm.power_on()
    joined(vm)
    crosses_the_mesh(stage)
    assert resilience.connected(stage, "vm")


def test_and_it_leaves_no_trace_there_either(stage: Stage, vm: SystemdHost) -> None:
    vm.run(["systemctl", "stop", "istio"], timeout=SLOWLY)
    leaves_no_trace(stage, vm)
