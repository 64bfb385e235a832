"""Which address the mesh learns."""

import ipaddress
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from vmagent.config import addresses
from vmagent.config.address_choice import all_ipv6, choose
from vmagent.config.addresses import Host, HostAddress

from . import vm


def host(*pairs: tuple[str, str], routed: tuple[str, ...] = (), towards: tuple[str, ...] = ()) -> Host:
    found = tuple(HostAddress(interface=interface, ip=ip) for interface, ip in pairs)
    return Host(name="vm", addresses=found, routed=routed, towards=towards)


def test_the_default_route_decides_and_not_the_order_of_interfaces() -> None:
    two = host(("eth1", "10.0.0.5"), ("eth0", "192.168.0.204"), routed=("192.168.0.204",))
    assert choose(two, "") == ("192.168.0.204", "10.0.0.5")


def test_the_route_to_the_control_plane_decides_before_the_default_route() -> None:
    two = host(
        ("eth0", "10.0.0.5"), ("eth1", "192.168.0.204"), routed=("10.0.0.5",), towards=("192.168.0.204",)
    )
    assert choose(two, "") == ("192.168.0.204", "10.0.0.5")
    assert choose(two, "10.0.0.5") == ("10.0.0.5", "192.168.0.204")


def test_a_control_plane_behind_a_container_bridge_makes_nobody_register_the_bridge() -> None:
    two = host(("docker0", "172.17.0.1"), ("eth0", "10.0.0.5"), routed=("10.0.0.5",), towards=("172.17.0.1",))
    assert choose(two, "") == ("10.0.0.5",)


def test_of_both_families_the_one_that_leads_to_the_control_plane_comes_first() -> None:
    both = host(
        ("eth0", "10.0.0.5"), ("eth0", "fd00::5"), routed=("10.0.0.5", "fd00::5"), towards=("fd00::5",)
    )
    assert choose(both, "") == ("fd00::5", "10.0.0.5")


@pytest.mark.parametrize(
    "name", ["docker0", "virbr0", "br-0123456789ab", "cni0", "podman1", "veth12ab", "lxdbr0"]
)
def test_an_address_of_a_container_bridge_is_never_registered(name: str) -> None:
    assert choose(host((name, "172.17.0.1"), ("eth0", "10.0.0.5")), "") == ("10.0.0.5",)
    assert choose(host((name, "172.17.0.1")), "") == ()


def test_a_bridge_that_carries_the_default_route_is_the_machines_own() -> None:
    assert choose(host(("br0", "10.0.0.5")), "") == ("10.0.0.5",)
    assert choose(host(("virbr0", "10.0.0.5"), routed=("10.0.0.5",)), "") == ("10.0.0.5",)


def test_what_the_operator_gives_comes_first_and_once() -> None:
    two = host(("eth0", "10.0.0.5"), ("eth1", "10.1.0.5"), routed=("10.0.0.5",))
    assert choose(two, "10.1.0.5") == ("10.1.0.5", "10.0.0.5")
    assert choose(two, "203.0.113.9") == ("203.0.113.9", "10.0.0.5", "10.1.0.5")


def test_a_route_whose_source_is_no_usable_address_does_not_count() -> None:
    assert choose(host(("eth0", "10.0.0.5"), routed=("169.254.1.1",)), "") == ("10.0.0.5",)


def test_a_machine_without_an_address_waits_for_one() -> None:
    found = vm.resolved(host=host())
    assert list(found.missing) == ["an address of this machine"]
    assert found.problems == ()


def test_ipv6_alone_is_told_from_both() -> None:
    assert all_ipv6(("fd00::1", "2001:db8::2"))
    assert not all_ipv6(("10.0.0.1", "fd00::1"))
    assert not all_ipv6(())


@pytest.mark.effects
def test_the_kernel_tells_what_ip_addr_tells() -> None:
    found = addresses.read(Path("/nowhere"))
    assert found.name == socket.gethostname()
    said = subprocess.run(
        ["ip", "-o", "addr", "show", "up"], capture_output=True, text=True, check=True
    ).stdout
    wanted = [
        (words[1], str(ip.ip))
        for words in map(str.split, said.splitlines())
        if not (ip := ipaddress.ip_interface(words[3])).is_loopback and not ip.is_link_local
    ]
    assert [(address.interface, address.ip) for address in found.addresses] == wanted
    assert set(found.routed) <= {address.ip for address in found.addresses}


@pytest.mark.effects
def test_whether_credentials_are_served_is_what_the_socket_answers() -> None:
    with tempfile.TemporaryDirectory(prefix="vm-") as name, socket.socket(socket.AF_UNIX) as server:
        path = Path(name, addresses.CREDENTIAL_SOCKET)
        assert not addresses.read(Path(name)).credential_socket
        path.parent.mkdir(parents=True)
        server.bind(str(path))
        assert not addresses.read(Path(name)).credential_socket  # nobody listens: a crash left it behind
        server.listen()
        assert addresses.read(Path(name)).credential_socket
