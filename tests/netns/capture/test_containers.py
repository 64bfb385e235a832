"""A machine that forwards for its containers: what they send passes through, and is not for this machine."""

import socket
from collections.abc import Iterator

import pytest

from tests.netns.capture.machine import PEER, VM, Echo, Machine, sh

NETWORK, BRIDGE, CONTAINER = "172.17.0.0/16", "172.17.0.1", "172.17.0.2"


@pytest.fixture
def container(machine: Machine) -> Iterator[str]:
    """The name of its network, wired to the machine as Docker does it, with its addresses hidden behind the
    machine's."""
    name = f"{machine.vm}-box"
    sh("ip", "netns", "add", name)
    try:
        ends = ("veth0", "netns", machine.vm, "type", "veth", "peer", "name", "eth0", "netns", name)
        sh("ip", "link", "add", *ends)
        for where, link, address in ((machine.vm, "veth0", BRIDGE), (name, "eth0", CONTAINER)):
            sh("ip", "-n", where, "addr", "add", f"{address}/16", "dev", link)
            sh("ip", "-n", where, "link", "set", link, "up")
        sh("ip", "-n", name, "route", "add", "default", "via", BRIDGE)
        machine.run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        masquerade = ("POSTROUTING", "-s", NETWORK, "!", "-o", "veth0", "-j", "MASQUERADE")
        machine.run("iptables", "-t", "nat", "-A", *masquerade)
        yield name
    finally:
        sh("ip", "netns", "del", name)


def test_a_container_reaches_the_world_past_envoy_and_its_machine_through_it(
    machine: Machine, world: Echo, container: str
) -> None:
    assert machine.tcp(container, PEER, 8080) == f"tcp-{PEER}"
    machine.apply()
    assert machine.tcp(container, PEER, 8080) == f"tcp-{PEER}"
    assert machine.tcp(container, BRIDGE, 8080) == "envoy-inbound"
    assert machine.tcp(container, VM, 8080) == "envoy-inbound"
    assert machine.tcp(machine.peer, VM, 8080) == "envoy-inbound"


def test_a_connection_to_an_address_that_is_no_longer_the_machines_is_not_answered_for_it(
    machine: Machine, world: Echo
) -> None:
    """Its neighbours go on sending to it for a while: a redirect would answer in the name of whoever has the
    address next."""
    machine.apply()
    gone = "10.9.0.9"
    mac = machine.run("sh", "-c", "cat /sys/class/net/cap*/address").strip()
    sh("ip", "-n", machine.peer, "neigh", "replace", gone, "lladdr", mac, "dev", _cable(machine))
    with machine.open(machine.peer, socket.SOCK_STREAM, gone) as sock:
        sock.settimeout(0.5)
        with pytest.raises(TimeoutError):
            sock.connect((gone, 8080))


def _cable(machine: Machine) -> str:
    shown = sh("ip", "-n", machine.peer, "-o", "-4", "addr", "show").splitlines()
    return next(line.split()[1] for line in shown if f" {PEER}/" in line)
