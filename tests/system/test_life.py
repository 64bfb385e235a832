"""The life of an installed agent on two machines of one mesh, from dpkg -i to purge. The tests are one story,
in this order.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.demo import resilience, story, traffic
from lab.demo.names import CURL, ENTRY, GET_ENTRY, OUTSIDE_ANSWER, VM_ANSWER
from lab.demo.saved import undone
from lab.demo.stage import DESK, Stage
from lab.hosts.lab import Lab
from lab.hosts.machine.host import SystemdHost
from tests.conftest import ROOT
from tests.staging import staged
from tests.system import operator, snapshot
from tests.system.conftest import NEXT
from tests.system.operator import Journal

DOCUMENT = ROOT.parent / "shared" / "seeds" / "vm-with-sidecar.zh.md"
MOUNTED = {"/etc/certs/key.pem", "/etc/certs/cert-chain.pem"}

BOOT_NOISE = 2.0
"""Seconds by which two boots of one machine may differ. A wait for the control plane is longer."""


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """A mesh, and two fresh machines with their files on the operator's desk."""
    with staged(Lab("life", {"vm": "iptables", "client": "iptables"})) as stage:
        story.begin(stage)
        operator.describe(stage)
        yield stage


@pytest.fixture(scope="module")
def fresh(stage: Stage) -> dict[str, snapshot.Snapshot]:
    return {host: snapshot.take(stage.lab.machine(host)) for host in operator.HOSTS}


@pytest.fixture(scope="module")
def broken_before(request: pytest.FixtureRequest) -> int:
    return request.session.testsfailed


@pytest.fixture(autouse=True)
def nothing_is_broken(request: pytest.FixtureRequest, broken_before: int) -> None:
    assert request.session.testsfailed == broken_before, "an earlier step of this story did not hold"


@pytest.fixture(autouse=True)
def nobody_complains(stage: Stage, nothing_is_broken: None) -> Iterator[None]:
    """Neither in a journal nor by what dpkg leaves of an installation that did not go through."""
    machines = [stage.lab.machine(name) for name in operator.HOSTS]
    journals = [Journal(machine) for machine in machines]
    yield
    assert [journal.complaints() for journal in journals] == ["", ""]
    for machine in machines:
        assert machine.run(["find", "/etc", "/usr", "/lib/systemd", "-name", "*.dpkg-*"]).stdout == ""
        assert machine.run(["systemctl", "--failed", "--no-legend"]).stdout == ""


@pytest.fixture
def vm(stage: Stage, fresh: dict[str, snapshot.Snapshot]) -> SystemdHost:
    return stage.lab.machine("vm")


@pytest.fixture
def client(stage: Stage, fresh: dict[str, snapshot.Snapshot]) -> SystemdHost:
    return stage.lab.machine("client")


def test_dpkg_alone_installs_it_and_nothing_runs_before_the_operator_says_so(
    vm: SystemdHost, package: Path
) -> None:
    assert vm.run(["dig", "+short", "deb.debian.org"]).stdout == ""
    assert vm.run(["sh", "-c", "command -v python3 || command -v nft"], check=False).stdout == ""
    operator.install(vm, package)
    assert vm.run(["dpkg", "--audit"]).stdout == ""
    assert vm.run(["dpkg", "--verify", "istio-agent"]).stdout == ""
    assert vm.run(["vmagent", "--version"]).stdout.endswith(f"{operator.version(vm)}\n")
    assert operator.active(vm) == {"istio-agent": "inactive", "istio-capture": "inactive"}
    for unit in operator.UNITS:
        assert vm.run(["systemctl", "is-enabled", unit]).stdout == "enabled\n"
    assert not operator.captured(vm)


def test_without_its_files_it_says_which_are_missing_and_touches_nothing(
    stage: Stage, vm: SystemdHost, fresh: dict[str, snapshot.Snapshot]
) -> None:
    journal = Journal(vm)
    vm.run(["systemctl", "start", "istio"])
    told = vm.run(["systemctl", "status", "--no-pager", "istio"]).stdout
    for text in (next(line for line in told.splitlines() if "Status:" in line), journal.said("istio-agent")):
        assert "/var/lib/istio/envoy/cluster.env" in text
        assert "/etc/certs/root-cert.pem" in text
        assert "no such file" in text
    assert operator.active(vm)["istio-agent"] == "active"
    traffic_before_application = stage.quietly("vm", f"{CURL} outside.example").strip()
    assert traffic_before_application == OUTSIDE_ANSWER
    assert undone(fresh["vm"].rules, stage.quietly("vm", "iptables-save; ip6tables-save"))


def test_files_that_arrive_are_noticed_without_a_restart(stage: Stage, vm: SystemdHost) -> None:
    before = vm.main_process("istio-agent").pid
    for command in operator.BLOCK:
        if "dpkg" not in command and "systemctl" not in command:
            vm.run(["bash", "-c", command], cwd=f"{DESK}/vm")
    operator.until_joined(stage, "vm")
    assert vm.main_process("istio-agent").pid == before
    assert operator.captured(vm)
    stage.until("it registers", lambda: ENTRY in stage.mesh_quietly(GET_ENTRY), within=5)


def test_the_block_is_the_documents() -> None:
    if not DOCUMENT.exists():
        pytest.skip("the source documents are not beside the clone")
    text = DOCUMENT.read_text()
    for command in operator.BLOCK:
        assert f"$ {command.format(package='istio-sidecar.deb')}\n" in text


def test_the_documents_block_runs_word_for_word(stage: Stage, client: SystemdHost, package: Path) -> None:
    name = operator.carry(client, package)
    client.run(["mv", f"{DESK}/{name}", f"{DESK}/client/"])
    for command in operator.BLOCK:
        client.run(["bash", "-c", command.format(package=name)], cwd=f"{DESK}/client")
    operator.until_joined(stage, "client")


def test_a_request_crosses_the_mesh_between_two_machines(stage: Stage) -> None:
    traffic.healthy(stage)
    operator.crosses_the_mesh(stage)


def test_the_same_version_again_changes_nothing(stage: Stage, vm: SystemdHost, package: Path) -> None:
    listed = ["dpkg-query", "--listfiles", "istio-agent"]
    before = vm.run(listed).stdout
    operator.install(vm, package)
    operator.until_joined(stage, "vm")
    operator.crosses_the_mesh(stage)
    assert vm.run(listed).stdout == before
    assert vm.run(["dpkg", "--verify", "istio-agent"]).stdout == ""


def test_a_restart_brings_everything_back(stage: Stage, vm: SystemdHost) -> None:
    vm.run(["systemctl", "restart", "istio"])
    operator.until_joined(stage, "vm")
    operator.crosses_the_mesh(stage)


def test_stop_takes_capture_and_envoy_away(
    stage: Stage, vm: SystemdHost, fresh: dict[str, snapshot.Snapshot]
) -> None:
    journal = Journal(vm)
    vm.run(["systemctl", "stop", "istio"])
    inactive = {"istio-agent": "inactive", "istio-capture": "inactive"}
    stage.until("both are stopped", lambda: operator.active(vm) == inactive, within=10)
    assert stage.quietly("vm", "pgrep -u istio-proxy; pgrep envoy") == ""
    operator.goes_direct(stage, fresh)
    for unit in operator.UNITS:
        assert f"Stopped {unit}" in journal.said(unit) or "Deactivated successfully" in journal.said(unit)
        assert vm.show(unit, "Result")["Result"] == "success"


def test_start_brings_it_back(stage: Stage, vm: SystemdHost) -> None:
    vm.run(["systemctl", "start", "istio"])
    operator.until_joined(stage, "vm")
    operator.crosses_the_mesh(stage)


def test_a_machine_that_reboots_comes_back_by_itself(stage: Stage, vm: SystemdHost) -> None:
    vm.reboot()
    operator.until_joined(stage, "vm")
    operator.crosses_the_mesh(stage)
    stage.kept["boot"] = str(operator.seconds_of_boot(vm))


def test_no_boot_waits_for_a_control_plane_that_is_away(stage: Stage, vm: SystemdHost) -> None:
    stage.stop("istiod")
    vm.reboot()
    assert operator.seconds_of_boot(vm) < float(stage.kept["boot"]) + BOOT_NOISE
    assert operator.active(vm)["istio-agent"] == "active"
    assert vm.run(["systemctl", "list-jobs", "--no-legend"]).stdout.strip() in ("", "No jobs running.")
    assert stage.quietly("vm", f"{CURL} outside.example").strip() == OUTSIDE_ANSWER
    assert stage.quietly("docker", f"{CURL} 192.168.0.204").strip() == VM_ANSWER


def test_a_machine_that_rebooted_without_it_carries_traffic_of_the_mesh_all_the_same(
    stage: Stage, vm: SystemdHost
) -> None:
    assert not vm.exists("/run/secrets/tokens/istio-token")
    operator.until_joined(stage, "vm")
    assert "ready, serving last known good, " in stage.quietly("vm", "vmagent status")
    assert "serving last known good, " in stage.quietly("vm", "curl -s localhost:15020/healthz/ready")
    operator.crosses_the_mesh(stage)
    resilience.start_control_plane(stage)
    stage.until(
        "its word replaces what was kept",
        lambda: "last known good" not in stage.quietly("vm", "vmagent status"),
        within=30,
    )
    operator.crosses_the_mesh(stage)


@pytest.mark.parametrize("way", ["up", "down"])
def test_another_version_takes_over_where_this_one_was(
    stage: Stage, vm: SystemdHost, package: Path, next_package: Path, way: str
) -> None:
    before = vm.main_process("istio-agent").pid
    operator.install(vm, next_package if way == "up" else package)
    wanted = NEXT if way == "up" else package.name.split("_")[1]
    assert operator.version(vm) == wanted
    assert wanted in vm.run(["vmagent", "status"], check=False).stdout
    assert vm.main_process("istio-agent").pid != before
    operator.until_joined(stage, "vm")
    operator.crosses_the_mesh(stage)
    running = stage.quietly("vm", "ls -l $(printf '/proc/%s/exe ' $(pgrep -u istio-proxy))").splitlines()
    assert [line for line in running if "(deleted)" in line and "/envoy" not in line] == []


def test_remove_stops_it_and_leaves_what_was_configured(
    stage: Stage, vm: SystemdHost, fresh: dict[str, snapshot.Snapshot]
) -> None:
    vm.append("/etc/istio-agent/agent.env", "\nVMAGENT_LOG_LEVEL=debug\n")
    vm.run(["dpkg", "--remove", "istio-agent"])
    assert operator.version(vm).endswith(" config-files")
    assert stage.quietly("vm", "pgrep -u istio-proxy; pgrep vmagent; pgrep envoy") == ""
    operator.goes_direct(stage, fresh)
    for path in ("/usr/lib/istio-agent", "/usr/bin/vmagent", "/lib/systemd/system/istio-agent.service"):
        assert not vm.exists(path)
    lasting = {path for path in operator.OWN if not path.startswith("/run/")}  # it has been rebooted since
    for path in lasting | {"/etc/istio-agent/agent.env"}:
        assert vm.exists(path)


def test_installed_again_it_finds_everything_where_it_was(
    stage: Stage, vm: SystemdHost, package: Path
) -> None:
    operator.install(vm, package)
    assert "VMAGENT_LOG_LEVEL=debug" in vm.read("/etc/istio-agent/agent.env")
    vm.run(["systemctl", "start", "istio"])
    operator.until_joined(stage, "vm")
    operator.crosses_the_mesh(stage)


def test_files_that_were_there_before_the_package_are_found_by_it(
    stage: Stage, client: SystemdHost, package: Path
) -> None:
    operator.kill_both_for_good(stage, client)
    assert "envoy_shared_memory_150000" in client.run(["ls", "/dev/shm"]).stdout
    client.run(["dpkg", "--purge", "istio-agent"])
    assert not client.exists("/etc/certs/key.pem")
    assert "envoy" not in client.run(["ls", "/dev/shm"]).stdout
    operator.install(client, package)
    client.run(["systemctl", "start", "istio"])
    operator.until_joined(stage, "client")
    operator.crosses_the_mesh(stage)


@pytest.mark.parametrize("name", operator.HOSTS)
def test_purge_leaves_nothing_but_the_operators_own(
    stage: Stage, fresh: dict[str, snapshot.Snapshot], name: str
) -> None:
    host = stage.lab.machine(name)
    operators = operator.OWN
    if name == "client":  # by now the operator keeps his own there, as for FILE_MOUNTED_CERTS
        for path in MOUNTED:
            host.write(path, "an operator's")
        operators = operator.OWN | MOUNTED
    host.run(["dpkg", "--purge", "istio-agent"])
    assert [host.exists(path) for path in MOUNTED] == [name == "client"] * 2
    left = snapshot.traces(fresh[name], snapshot.take(host))
    if name == "vm":  # its nginx was started by the story
        left = [line for line in left if not nginx(line)]
        operator.goes_direct(stage, fresh)
    assert [line for line in left if line.partition(": ")[0] not in operators] == []
    assert host.run(["sh", "-c", "find / -xdev -name '*vmagent*' -not -path '/tmp/*'"]).stdout == ""
    began = time.monotonic()
    host.reboot()
    assert time.monotonic() - began < 60


def nginx(line: str) -> bool:
    return "nginx" in line or line.startswith(("sockets: tcp", "/var/lib/systemd/deb-systemd-helper"))
