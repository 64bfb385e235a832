"""A lab comes up however the last one ended, within seconds, and goes without a trace."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab.hosts import services
from lab.hosts.errors import LabError
from lab.hosts.lab import Lab
from lab.hosts.world import Places
from tests.conftest import ROOT
from tests.netns.hosts.conftest import OTHER
from tests.netns.hosts.traces import own_machine, traces


def test_the_machine_itself_is_not_touched_and_down_leaves_nothing(other: Lab) -> None:
    before = own_machine()
    other.up()
    services.start_application(other.host("vm"))
    other.host("vm").spawn(["sleep", "4712"], user="istio-proxy", log="/var/log/sleep.log")
    assert own_machine() == before
    other.down()
    assert own_machine() == before
    assert traces(OTHER) == []
    other.down()


def start(name: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", f"from lab.hosts.lab import Lab; Lab({name!r}).up()"]
    return subprocess.Popen(command, cwd=ROOT)


def until(path: Path) -> None:
    deadline = time.monotonic() + 10
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} did not appear"


@pytest.mark.parametrize("moment", ["network of vm", "state of istiod", "first process of client"])
def test_a_starter_that_was_killed_leaves_nothing_that_down_does_not_find(other: Lab, moment: str) -> None:
    places = Places(OTHER)
    when = {
        "network of vm": places.network("vm"),
        "state of istiod": places.host_state("istiod"),
        "first process of client": places.host_state("client") / "init",
    }
    starter = start(OTHER)
    until(when[moment])
    starter.kill()
    starter.wait()
    other.down()
    assert traces(OTHER) == []


def test_what_a_crash_left_does_not_keep_a_lab_from_being_made(other: Lab) -> None:
    starter = start(OTHER)
    until(Places(OTHER).host_state("istiod"))
    starter.kill()
    starter.wait()
    other.up()
    assert other.is_up


def test_a_host_whose_first_process_is_killed_is_down_and_so_is_everything_in_it(other: Lab) -> None:
    other.up()
    vm = other.host("vm")
    process = vm.spawn(["sleep", "4713"], log="/var/log/sleep.log")
    os.kill(vm.pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while process.alive or vm.up:
        assert time.monotonic() < deadline
    with pytest.raises(LabError, match="vm is not up"):
        vm.run(["true"])


def test_five_hosts_stand_within_three_seconds(other: Lab) -> None:
    began = time.monotonic()
    other.up()
    assert time.monotonic() - began < 3
