"""Both families, where Envoy listens on both."""

import socket

from tests.netns.capture.machine import GID, PEER6, UID, VM6, Echo, Machine

TCP, UDP = socket.SOCK_STREAM, socket.SOCK_DGRAM
APP, ENVOY = (1000, 1000), (UID, GID)


def test_ipv6_goes_the_same_ways(machine: Machine) -> None:
    (machine.directory / "resolv.conf").write_text(f"nameserver {PEER6}\n")
    echo = Echo()
    echo.listen(machine, machine.vm, TCP, "::", (15001,), "envoy-outbound", *ENVOY)
    echo.listen(machine, machine.vm, TCP, "::", (15006,), "envoy-inbound", *ENVOY)
    echo.listen(machine, machine.vm, TCP, "::", (22, 8080), "vm-app")
    for kind in (TCP, UDP):
        echo.listen(machine, machine.vm, kind, "::1", (15053,), "agent-dns", *ENVOY)
        echo.listen(machine, machine.peer, kind, PEER6, (53, 8080), "peer")
    echo.start()
    before = machine.comparable()
    machine.apply(ISTIO_DUAL_STACK="true")
    vm, peer = machine.vm, machine.peer
    assert machine.tcp(vm, PEER6, 8080, *APP) == "envoy-outbound"
    assert machine.tcp(vm, PEER6, 8080, *ENVOY) == "peer"
    assert machine.tcp(vm, "::1", 8080, *APP) == "vm-app"
    assert machine.tcp(vm, VM6, 8080, *ENVOY) == "envoy-inbound"
    assert machine.tcp(peer, VM6, 8080) == "envoy-inbound"
    assert machine.tcp(peer, VM6, 22) == "vm-app"
    assert machine.tcp(vm, PEER6, 53, *APP) == "agent-dns"
    assert machine.udp(vm, PEER6, 53, *APP) == "agent-dns"
    assert machine.udp(vm, PEER6, 53, *ENVOY) == "peer"
    assert machine.udp(vm, PEER6, 8080, *APP) == "peer"
    with machine.connect(vm, PEER6, 8080, *APP) as captured:
        machine.remove()
        captured.sendall(b"?")
        assert captured.recv(100) == b"envoy-outbound"
    echo.close()
    assert machine.comparable() == before


def test_the_passthrough_address_comes_and_goes_with_capture(machine: Machine) -> None:
    machine.apply(ISTIO_DUAL_STACK="true")
    assert "inet6 ::6/128" in machine.run("ip", "-6", "addr", "show", "lo")
    machine.remove()
    assert "inet6 ::6/128" not in machine.run("ip", "-6", "addr", "show", "lo")


def test_a_passthrough_address_of_somebody_else_stays(machine: Machine) -> None:
    machine.run("ip", "-6", "addr", "add", "::6/128", "dev", "lo")
    machine.apply(ISTIO_DUAL_STACK="true")
    machine.remove()
    assert "inet6 ::6/128" in machine.run("ip", "-6", "addr", "show", "lo")


def test_on_a_host_whose_first_address_is_ipv4_ipv6_is_left_alone_and_that_is_said(machine: Machine) -> None:
    notes = machine.apply()["notes"]
    assert notes == [
        "IPv6 is not captured: the first address is IPv4, so Envoy listens on IPv4 only"
        " (ISTIO_DUAL_STACK=true captures both)"
    ]
    assert "ISTIO" not in machine.run("ip6tables-save")
