"""Two machines of one mesh, clients that ask all the time, and what happens to real machines. The tests are
one story, in this order; each prints its row of the table in docs/surviving.md.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.demo import story
from lab.demo import traffic as crossing
from lab.demo.names import CURL, OUTSIDE_ANSWER
from lab.demo.stage import DESK, Stage
from lab.hosts.lab import Lab
from lab.hosts.machine.host import SystemdHost
from tests.staging import staged
from tests.system import operator
from tests.system.conftest import NEXT
from tests.system.operator import Journal
from tests.system.traffic import traffic
from tests.system.under_traffic import ROWS, Before, envoy, held, nothing_is_left, printed, serves, signalled

ENVOY = "/usr/lib/istio-agent/bin/envoy"
UNNOTICED = 1.0
"""Seconds of pause that a person does not call an outage; a machine of the lab shares its cores."""


@pytest.fixture(scope="module")
def stage(package: Path) -> Iterator[Stage]:
    lab = Lab("surviving", {"vm": "iptables", "client": "iptables"})
    with printed(), staged(lab) as stage:
        story.begin(stage)
        operator.describe(stage)
        for host in operator.HOSTS:
            name = operator.carry(lab.machine(host), package)
            lab.machine(host).run(["mv", f"{DESK}/{name}", f"{DESK}/{host}/"])
            for command in operator.BLOCK:
                lab.machine(host).run(["bash", "-c", command.format(package=name)], cwd=f"{DESK}/{host}")
            operator.until_joined(stage, host)
        crossing.healthy(stage)
        crossing.two_backends(stage)
        operator.until_answered(stage)
        yield stage


@pytest.fixture
def vm(stage: Stage) -> SystemdHost:
    return stage.lab.machine("vm")


def test_a_killed_agent_costs_nothing(stage: Stage, vm: SystemdHost) -> None:
    before, report = held(stage, vm, "`kill -9` of the agent", signalled(stage, vm, "KILL"))
    assert report.badly == {}
    assert report.of("kept") < UNNOTICED
    before.journal.until_said("istio-agent", "Envoy of an earlier agent goes on")


def test_a_restart_costs_nothing(stage: Stage, vm: SystemdHost) -> None:
    before, report = held(
        stage, vm, "`systemctl restart istio-agent`", lambda: _run(vm, "systemctl", "restart", "istio-agent")
    )
    assert report.lost == {}
    before.journal.until_said("istio-agent", "leaving: Envoy goes on")


def test_a_reload_is_the_same_process_anew(stage: Stage, vm: SystemdHost) -> None:
    before, report = held(stage, vm, "`systemctl reload istio-agent`", lambda: _reload(vm))
    assert report.lost == {}
    assert vm.show("istio-agent", "MainPID")["MainPID"] == before.agent


def test_the_next_version_takes_over_under_traffic(stage: Stage, vm: SystemdHost, next_package: Path) -> None:
    _, report = held(stage, vm, "`dpkg -i` of the next version", lambda: operator.install(vm, next_package))
    assert operator.version(vm) == NEXT
    assert report.lost == {}


def _run(vm: SystemdHost, *command: str) -> None:
    vm.run(list(command))


def _reload(vm: SystemdHost) -> None:
    journal = Journal(vm)
    vm.run(["systemctl", "reload", "istio-agent"])
    journal.until_said("istio-agent", "Envoy of an earlier agent goes on")


def test_a_capture_process_that_dies_costs_nothing(stage: Stage, vm: SystemdHost) -> None:
    def happens() -> None:
        old = vm.show("istio-capture", "MainPID")["MainPID"]
        vm.run(["kill", "-KILL", old])
        stage.until(
            "another one", lambda: vm.show("istio-capture", "MainPID")["MainPID"] not in (old, "0"), within=10
        )

    _, report = held(stage, vm, "`kill -9` of the capture process", happens)
    assert report.lost == {}


def test_a_version_that_does_not_start_replaces_nothing(
    stage: Stage, vm: SystemdHost, broken_package: Path, package: Path
) -> None:
    def happens() -> None:
        done = vm.run(["dpkg", "-i", operator.carry(vm, broken_package)], cwd=DESK, check=False)
        assert done.returncode != 0
        assert "this version does not start, the running agent stays: SyntaxError" in done.stderr
        vm.run(["systemctl", "reload", "istio-agent"])

    before, report = held(stage, vm, "`dpkg -i` of a version that does not start", happens)
    assert report.lost == {}
    assert vm.show("istio-agent", "MainPID")["MainPID"] == before.agent
    before.journal.until_said("istio-agent", "not reloaded, the program on disk does not start")
    _, report = held(stage, vm, "`dpkg -i` of the version of before", lambda: operator.install(vm, package))
    assert report.lost == {}
    assert operator.version(vm) == package.name.split("_")[1]


def test_other_settings_of_envoy_are_taken_over_in_flight(stage: Stage, vm: SystemdHost) -> None:
    vm.append("/var/lib/istio/envoy/cluster.env", "ISTIO_META_SITE='b'\n")
    before, report = held(
        stage,
        vm,
        "restart with another bootstrap of Envoy: hot restart",
        lambda: _run(vm, "systemctl", "restart", "istio-agent"),
        kept=False,
    )
    assert report.lost == {}
    assert envoy(stage) not in ("", before.envoy)
    before.journal.until_said("istio-agent", "--restart-epoch', '1'")


def test_an_agent_that_is_stopped_is_ended_and_nobody_loses_a_request(stage: Stage, vm: SystemdHost) -> None:
    """SIGSTOP: systemd ends what gives no sign of life."""
    before, report = held(stage, vm, "SIGSTOP of the agent", signalled(stage, vm, "STOP"))
    before.journal.until_said("istio-agent", "Failed with result 'watchdog'")
    assert {
        name: why for name, why in report.lost.items() if "names" not in name and "new-out" not in name
    } == {}


def test_a_full_disk_costs_nothing(stage: Stage, vm: SystemdHost) -> None:
    """Neither the directory of what is published nor that of certificates and bootstraps has room."""
    full = ("/run/istio-agent/gates", "/var/lib/istio/proxy")
    for place in full:
        vm.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=0700", "full", place])
        vm.run(["chown", "istio-proxy:", place])
    try:
        for place in full:
            vm.run(["sh", "-c", f"cat /dev/zero >{place}/full 2>/dev/null || true"])
        before = Before(stage, vm)
        with traffic(stage) as report:
            signalled(stage, vm, "KILL")()
            before.journal.until_said("istio-agent", "No space left on device")
    finally:
        for place in full:
            vm.run(["umount", "--lazy", place])
    vm.run(["systemctl", "restart", "istio-agent"])  # its sockets lay in what is unmounted
    stage.until("the agent serves again", lambda: serves(stage), within=60)
    ROWS.append(report.row("no room on the disk, and `kill -9` of the agent"))
    assert envoy(stage) == before.envoy
    assert report.badly == {}


def test_a_killed_envoy_is_back_within_two_seconds_and_nobody_hangs(stage: Stage, vm: SystemdHost) -> None:
    def happens() -> None:
        vm.run(["pkill", "-KILL", "-x", "envoy"])
        took = stage.until("another Envoy", lambda: envoy(stage) not in ("", before_pid), within=5)
        assert took < 2

    before_pid = envoy(stage)
    _, report = held(stage, vm, "`kill -9` of Envoy", happens, kept=False)
    assert report.of("out") < 2 + UNNOTICED
    allowed = {"Connection refused", "Connection reset by peer", "closed before the answer"}
    assert set().union(*report.lost.values()) <= allowed | {"HTTP/1.1 503 Service Unavailable"}


def test_an_envoy_that_does_not_start_any_more_lets_traffic_go_direct(stage: Stage, vm: SystemdHost) -> None:
    journal = Journal(vm)
    vm.run(["chmod", "-x", ENVOY])
    try:
        vm.run(["pkill", "-KILL", "-x", "envoy"])
        stage.until("the rules are gone", lambda: not operator.captured(vm), within=15)
        assert stage.quietly("vm", f"{CURL} outside.example").strip() == OUTSIDE_ANSWER
        journal.until_said("istio-capture", "Envoy takes no connections: taking the rules back")
    finally:
        vm.run(["chmod", "+x", ENVOY])
    stage.until("captured again", lambda: serves(stage) and operator.captured(vm), within=30)
    operator.until_answered(stage)


def test_a_stop_is_told_to_the_mesh_which_loses_nothing(stage: Stage, vm: SystemdHost) -> None:
    journal = Journal(vm)
    with traffic(stage, hosts=("client",)) as report:
        stage.until(
            "both answer", lambda: len(crossing.count(stage, "client", 20, show=False)) == 2, within=20
        )
        vm.run(["systemctl", "stop", "istio-agent"])
    ROWS.append(report.row("`systemctl stop istio-agent`, clients of the mesh"))
    assert report.lost == {}
    order = ("reported unhealthy", "the agent is leaving: taking the rules back", "Envoy ended by")
    said = journal.until_said("", *order)
    assert [said.index(words) for words in order] == sorted(said.index(words) for words in order), said
    nothing_is_left(stage, vm)
    vm.run(["systemctl", "start", "istio-agent"])
    operator.until_joined(stage, "vm")


@pytest.mark.parametrize("victims", ["agent", "envoy", "capture", "agent envoy", "agent capture"])
def test_a_stop_leaves_nothing_whichever_process_died_first(
    stage: Stage, vm: SystemdHost, victims: str
) -> None:
    pids = {
        "agent": vm.show("istio-agent", "MainPID")["MainPID"],
        "capture": vm.show("istio-capture", "MainPID")["MainPID"],
        "envoy": envoy(stage),
    }
    dead = " ".join(pids[victim] for victim in victims.split())
    stage.quietly("vm", f"kill -9 {dead}; systemctl stop istio-agent")
    nothing_is_left(stage, vm)
    vm.run(["systemctl", "start", "istio-agent"])
    operator.until_joined(stage, "vm")


def test_a_machine_without_power_comes_back_by_itself(stage: Stage, vm: SystemdHost) -> None:
    vm.pull_plug()
    vm.power_on()
    operator.until_joined(stage, "vm")
    operator.until_answered(stage)
