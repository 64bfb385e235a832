"""Installations that do not go the usual way, each on a fresh machine of its own, without a mesh."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.demo.stage import DESK
from lab.hosts import services
from lab.hosts.lab import Lab
from lab.hosts.machine.host import SystemdHost
from tests.system import operator, snapshot
from tests.system.conftest import run

HOSTS = {"only nftables": "vm", "a full disk": "client", "masked": "docker"}


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    lab = Lab("fresh", {"vm": "nftables", "client": "iptables", "docker": "iptables"})
    lab.down()
    lab.up()
    services.start_application(lab.host("outside"))
    yield lab
    lab.down()


def reaches_outside(host: SystemdHost) -> bool:
    return "Welcome" in host.run(["curl", "-sS", "--max-time", "5", "http://outside.example/"]).stdout


def test_a_machine_with_nftables_alone_takes_the_package_and_says_what_it_cannot_do_yet(
    lab: Lab, package: Path
) -> None:
    host = lab.machine(HOSTS["only nftables"])
    assert host.run(["sh", "-c", "command -v iptables"], check=False).stdout == ""
    before = snapshot.take(host)
    operator.install(host, package)
    journal = operator.Journal(host)
    host.run(["systemctl", "start", "istio"])
    assert operator.active(host)["istio-agent"] == "active"
    journal.until_said("istio-capture", "this host has nft but no iptables", "apt-get install iptables")
    told = host.run(["systemctl", "status", "--no-pager", "istio-capture"]).stdout
    assert "nothing is captured: this host has nft but no iptables" in told
    assert reaches_outside(host)
    assert host.run(["nft", "list", "ruleset"]).stdout == before.nftables
    host.run(["dpkg", "--purge", "istio-agent"])
    assert snapshot.traces(before, snapshot.take(host)) == []


def test_a_disk_that_is_full_keeps_the_package_out_and_leaves_nothing_half_done(
    lab: Lab, package: Path
) -> None:
    host = lab.machine(HOSTS["a full disk"])
    before = snapshot.take(host)
    name = operator.carry(host, package)
    free = int(host.run(["df", "--output=avail", "--block-size=1M", "/"]).stdout.split()[-1])
    host.run(["fallocate", "--length", f"{free - 60}M", "/var/filler"])
    done = host.run(["dpkg", "-i", name], cwd=DESK, check=False)
    assert done.returncode != 0
    assert "No space left on device" in done.stderr
    assert operator.version(host) in ("", "unknown ok not-installed", " not-installed")
    listed = host.run(["systemctl", "list-unit-files", "istio*", "--no-legend"], check=False)
    assert listed.stdout == ""
    assert reaches_outside(host)
    host.run(["rm", "/var/filler"])
    assert snapshot.traces(before, snapshot.take(host)) == []

    host.run(["dpkg", "-i", name], cwd=DESK)
    assert host.run(["dpkg", "--audit"]).stdout == ""
    assert "version" in host.run(["vmagent", "--version"]).stdout
    host.run(["dpkg", "--purge", "istio-agent"])
    assert snapshot.traces(before, snapshot.take(host)) == []


def test_an_installation_that_a_power_cut_ended_is_taken_up_again(lab: Lab, package: Path) -> None:
    host = lab.machine(HOSTS["a full disk"])
    before = snapshot.take(host)
    name = operator.carry(host, package)
    host.spawn(["dpkg", "-i", f"{DESK}/{name}"], log="/var/log/nginx/dpkg.log")
    deadline = time.monotonic() + 20
    while not host.exists("/usr/lib/istio-agent/bin/envoy.dpkg-new"):
        assert time.monotonic() < deadline
    host.pull_plug()
    host.power_on()
    assert host.state() == "running"
    assert "istio-agent" in host.run(["dpkg", "--audit"]).stdout
    assert reaches_outside(host)

    operator.install(host, package)
    assert host.run(["dpkg", "--audit"]).stdout == ""
    assert host.run(["dpkg", "--verify", "istio-agent"]).stdout == ""
    host.run(["systemctl", "start", "istio"])
    assert operator.active(host)["istio-agent"] == "active"
    host.run(["dpkg", "--purge", "istio-agent"])
    assert snapshot.traces(before, snapshot.take(host)) == []


def in_our_place(tmp_path: Path) -> Path:
    """A package that takes the place of ours, and finds that it cannot."""
    control = tmp_path / "tree" / "DEBIAN"
    control.mkdir(parents=True)
    (control / "control").write_text(
        "Package: another-agent\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@example.com>\n"
        "Conflicts: istio-agent\nReplaces: istio-agent\nDescription: does not come to pass\n"
    )
    (control / "preinst").write_text("#!/bin/sh\nsystemctl is-active istio-agent istio-capture\nexit 1\n")
    (control / "preinst").chmod(0o755)
    packed = tmp_path / "another-agent.deb"
    run("dpkg-deb", "--root-owner-group", "--build", control.parent, packed)
    return packed


def test_what_ran_runs_again_when_a_package_that_takes_our_place_fails(
    lab: Lab, package: Path, tmp_path: Path
) -> None:
    host = lab.machine(HOSTS["masked"])
    before = snapshot.take(host)
    operator.install(host, package)
    host.run(["systemctl", "start", "istio-agent"])
    name = operator.carry(host, in_our_place(tmp_path))
    for stopped in ((), ("istio-capture",), operator.UNITS):
        for unit in stopped:
            host.run(["systemctl", "stop", unit])
        wanted = {unit: "inactive" if unit in stopped else "active" for unit in operator.UNITS}
        assert operator.active(host) == wanted
        done = host.run(["dpkg", "-i", name], cwd=DESK, check=False)
        assert done.returncode != 0
        assert done.stdout.count("inactive\n") == 2  # when the other one was asked
        assert operator.active(host) == wanted
        assert host.run(["dpkg", "--audit"]).stdout == ""
        assert not host.exists("/var/lib/istio-agent/ran")
    host.run(["dpkg", "--purge", "istio-agent"])
    assert snapshot.traces(before, snapshot.take(host)) == []


def test_units_that_an_operator_has_masked_stay_masked_through_install_and_purge(
    lab: Lab, package: Path
) -> None:
    host = lab.machine(HOSTS["masked"])
    units = [f"{unit}.service" for unit in operator.UNITS]
    host.run(["systemctl", "mask", *units])
    before = snapshot.take(host)
    operator.install(host, package)
    assert [host.show(unit, "LoadState")["LoadState"] for unit in units] == ["masked", "masked"]
    refused = host.run(["systemctl", "start", *units], check=False)
    assert "masked" in refused.stderr

    host.run(["systemctl", "unmask", *units])
    host.run(["systemctl", "start", *units])
    assert operator.active(host)["istio-agent"] == "active"
    assert reaches_outside(host)

    host.run(["systemctl", "stop", *units])
    host.run(["systemctl", "mask", *units])
    host.run(["dpkg", "--purge", "istio-agent"])
    assert snapshot.traces(before, snapshot.take(host)) == []
