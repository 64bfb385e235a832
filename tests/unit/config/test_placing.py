"""The same machine, somewhere else."""

import socket
from pathlib import Path

import pytest

from tests.unit.config import vm
from vmagent.config import placing
from vmagent.config.addresses import Host, HostAddress
from vmagent.config.model import Config


def at(*ips: str) -> Host:
    addresses = tuple(HostAddress(interface="eth0", ip=ip) for ip in ips)
    return Host(name="vm204.local", addresses=addresses, routed=ips[:1])


def moved(config: Config, *ips: str) -> Config:
    return placing.placed(config, at(*ips))


def test_all_that_an_address_decides_is_as_if_the_machine_had_started_there() -> None:
    there = vm.resolved(host=at("192.168.0.7", "fd00::7")).config
    here = vm.resolved(host=at("192.168.0.204")).config
    assert here != there
    assert moved(here, "192.168.0.7", "fd00::7") == there
    assert there.node.id.split("~")[1] == "192.168.0.7"
    assert there.probe is not None
    assert there.probe.default_host == "192.168.0.7"


def test_where_nothing_has_changed_it_is_the_very_same() -> None:
    config = vm.resolved(host=at("192.168.0.204")).config
    assert moved(config, "192.168.0.204") is config


def test_a_machine_that_has_lost_its_address_keeps_what_it_had() -> None:
    config = vm.resolved(host=at("192.168.0.204")).config
    assert moved(config) is config


async def test_what_the_operator_gave_is_not_asked_for() -> None:
    config = vm.resolved(more="ISTIO_SVC_IP='10.9.9.9'\n").config
    assert config.workload.address == "10.9.9.9"
    assert await placing.here(config, Path("/")) is config


@pytest.mark.parametrize(
    ("discovery", "found"),
    [("10.0.0.1:15012", ("10.0.0.1",)), ("[fd00::1]:15012", ("fd00::1",)), ("no.such.invalid:15012", ())],
)
async def test_the_control_planes_addresses_are_what_its_name_says(
    discovery: str, found: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror("nobody knows it")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    mesh = vm.MESH.replace("istiod.istio-system.svc:15012", f"'{discovery}'")
    assert await placing.peers(vm.resolved(mesh=mesh).config) == found
