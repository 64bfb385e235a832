"""``lab fault`` on a running lab: what the other machines see of it."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.hosts import services
from lab.hosts.lab import Lab

NAME = "faults-test"
REACH = f"timeout 5 bash -c 'exec 3<>/dev/tcp/192.168.0.59/{services.DISCOVERY_PORT}'"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab(NAME)
    lab.down()
    lab.up()
    control_plane = services.start_control_plane(
        lab.host("istiod"), resources=tmp_path_factory.mktemp("resources")
    )
    yield lab
    control_plane.stop()
    lab.down()


def fault(*words: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.prefix, "bin", "lab")), "--name", NAME, "fault", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def test_faults_are_listed_with_what_they_do_and_which_are_on(lab: Lab) -> None:
    assert fault("delay", "1500ms").returncode == 0
    lines = {line.split()[0]: line for line in fault().stdout.splitlines()}
    assert lines["delay"].split()[1] == "1.5"
    assert lines["away"].split()[1] == "off"
    assert "nothing listens on the discovery port" in lines["away"]
    fault("clear")
    assert fault().stdout.count(" off ") == len(lines)


def test_a_control_plane_that_is_away_is_away_for_other_machines_and_comes_back(lab: Lab) -> None:
    vm = lab.host("vm")
    vm.run(["sh", "-c", REACH])
    fault("away")
    vm.run(["sh", "-c", f"while {REACH}; do sleep 0.05; done"])
    fault("away", "off")
    vm.run(["sh", "-c", f"until {REACH}; do sleep 0.05; done"])


def test_a_fault_that_is_none_is_told_with_the_ones_there_are(lab: Lab) -> None:
    refused = fault("awya")
    assert refused.returncode == 1
    assert "there is no fault 'awya': away, half-open" in refused.stderr


def test_metrics_and_syncz_are_read_where_istiod_has_them(lab: Lab) -> None:
    metrics = lab.host("vm").run(["curl", "-fsS", "http://192.168.0.59:15014/metrics"]).stdout
    assert "# TYPE pilot_xds_pushes counter" in metrics
    assert lab.host("istiod").run(["curl", "-fsS", "http://localhost:15014/debug/syncz"]).stdout == "[]\n"
