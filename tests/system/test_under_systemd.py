"""What docs/systemd.md promises, on a machine without a mesh: the agent waits for its files meanwhile."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.demo.stage import POLL
from lab.hosts.lab import Lab
from lab.hosts.machine.host import SystemdHost
from tests.system import operator
from tests.system.operator import Journal

LOG = "/var/log/istio/istio.log"
WATCHDOG = 4
"""Seconds in place of the units' own, which are 10 and 180."""

BOTH = pytest.mark.parametrize("unit", operator.UNITS)


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    lab = Lab("units", {"vm": "iptables"})
    lab.down()
    lab.up()
    try:
        yield lab
    finally:
        lab.down()


@pytest.fixture(scope="module")
def vm(package: Path, lab: Lab) -> SystemdHost:
    vm = lab.machine("vm")
    operator.install(vm, package)
    vm.append("/etc/istio-agent/agent.env", f"VMAGENT_LOG_FILE={LOG}\n")
    for unit in operator.UNITS:
        vm.write(f"/run/systemd/system/{unit}.service.d/x.conf", f"[Service]\nWatchdogSec={WATCHDOG}\n")
    vm.run(["systemctl", "daemon-reload"])
    vm.run(["systemctl", "start", "istio"])
    return vm


def until(true: Callable[[], bool], what: str, *, within: float = 60.0) -> None:
    deadline = time.monotonic() + within
    while not true():
        assert time.monotonic() < deadline, f"{what}: not within {within:g} s"
        time.sleep(POLL)


def main_pid(vm: SystemdHost, unit: str) -> str:
    return vm.show(unit, "MainPID")["MainPID"]


@BOTH
def test_who_gives_signs_of_life_lives_on_and_who_hangs_is_started_again(vm: SystemdHost, unit: str) -> None:
    pid = main_pid(vm, unit)
    time.sleep(WATCHDOG + 1)  # longer than silence would be tolerated
    assert main_pid(vm, unit) == pid
    journal = Journal(vm)
    vm.run(["kill", "-STOP", pid])
    until(lambda: main_pid(vm, unit) not in (pid, "0"), "another process")
    journal.until_said(unit, "Failed with result 'watchdog'")
    until(lambda: operator.active(vm)[unit] == "active", "started again")
    if unit == "istio-agent":
        journal.until_said(unit, "Fatal Python error: Aborted", "base_events.py")


@BOTH
@pytest.mark.parametrize("number", ["HUP", "USR1"])
def test_signals_of_log_rotation_end_nothing(vm: SystemdHost, unit: str, number: str) -> None:
    pid = main_pid(vm, unit)
    vm.run(["systemctl", "kill", f"--signal={number}", unit])
    time.sleep(0.5)  # what would end it would do so at once
    assert (main_pid(vm, unit), operator.active(vm)[unit]) == (pid, "active")


@BOTH
def test_both_say_what_they_wait_for(vm: SystemdHost, unit: str) -> None:
    missing = "waiting for /var/lib/istio/envoy/cluster.env (no such file)"
    until(lambda: missing in vm.show(unit, "StatusText")["StatusText"], "the status text")


def test_the_sandbox_lets_capture_ask_the_network_for_the_machines_own_address(
    lab: Lab, vm: SystemdHost
) -> None:
    """Which needs a packet socket, and no filter that keeps its frames back."""
    lab.host("outside").run(["ip", "address", "add", f"{vm.address}/24", "dev", "eth0"])
    try:
        vm.run(["systemctl", "restart", "istio-capture"])
        until(lambda: f"too: {vm.address} (02:00:c0:a8:00:46 on " in vm.journal("--boot"), "the journal")
        until(
            lambda: "another machine has" in vm.run(["vmagent", "status"], check=False).stdout, "the status"
        )
    finally:
        lab.host("outside").run(["ip", "address", "del", f"{vm.address}/24", "dev", "eth0"])


def test_directories_that_somebody_removed_are_back_after_a_restart(vm: SystemdHost) -> None:
    vm.run(["rm", "-rf", "/run/secrets", "/var/log/istio"])
    vm.run(["systemctl", "restart", "istio-agent"])
    told = vm.run(["stat", "-c", "%U %a", "/run/secrets/tokens", "/var/log/istio"]).stdout
    assert told == "istio-proxy 700\nistio-proxy 755\n"
    until(lambda: "not ready" in vm.read(LOG), "the log file")


def test_a_full_disk_costs_lines_is_told_once_and_ends_nothing(vm: SystemdHost) -> None:
    vm.run(["systemctl", "stop", "istio-agent"])
    vm.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=0777", "full", "/var/log/istio"])
    vm.run(["systemctl", "start", "istio-agent"])
    try:
        until(lambda: vm.exists(LOG), "the log file")
        vm.run(["sh", "-c", f"cat /dev/zero >>{LOG} 2>/dev/null || true"])
        pid, journal = main_pid(vm, "istio-agent"), Journal(vm)
        reopen = ["systemctl", "kill", "--kill-whom=main", "--signal=USR1", "istio-agent"]
        for _ in range(3):
            vm.run(reopen)
            time.sleep(0.1)  # or they are one signal
        told = journal.until_said("istio-agent", "No space left on device; logging goes on without it")
        assert told.count("No space left") == 1
        vm.run(["truncate", "--size=0", LOG])
        vm.run(reopen)
        journal.until_said("istio-agent", f"{LOG} can be written again", "lines are missing there")
        assert "log files are opened again" in vm.read(LOG)
        assert main_pid(vm, "istio-agent") == pid
    finally:
        vm.run(["umount", "--lazy", "/var/log/istio"])


def test_the_boot_waits_for_no_network(vm: SystemdHost) -> None:
    vm.write(
        "/etc/systemd/system/never-online.service",
        "[Unit]\nBefore=network-online.target\n[Service]\nType=oneshot\nExecStart=/bin/sleep infinity\n"
        "TimeoutStartSec=infinity\n[Install]\nWantedBy=network-online.target\n",
    )
    vm.run(["systemctl", "enable", "never-online"])
    vm.reboot()
    assert operator.active(vm) == dict.fromkeys(operator.UNITS, "active")
    assert vm.show("network-online.target", "ActiveState")["ActiveState"] == "inactive"
    assert vm.state() == "running"
