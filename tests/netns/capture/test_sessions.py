"""Connections that are open survive capture going on, changing, and off, on a machine that tracked none
before.
"""

import socket

import pytest

from tests.netns.capture.machine import PEER, VM, Echo, Machine, answer, ask


class Session:
    """A connection whose other end we hold as well, so that either side can speak first."""

    def __init__(self, machine: Machine, listener: socket.socket, client: str, address: str) -> None:
        self.client = machine.connect(client, address, listener.getsockname()[1])
        self.server, _ = listener.accept()
        self.server.settimeout(2)

    def survives(self, first: str) -> bool:
        one, other = (self.server, self.client) if first == "server" else (self.client, self.server)
        try:
            one.sendall(b"over to you")
            assert other.recv(100) == b"over to you"
            other.sendall(b"and back")
            return one.recv(100) == b"and back"
        except (TimeoutError, ConnectionError):
            return False

    def close(self) -> None:
        self.client.close()
        self.server.close()


def listener(machine: Machine, where: str, port: int) -> socket.socket:
    sock = machine.open(where, socket.SOCK_STREAM, "0.0.0.0")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("0.0.0.0", port))
    sock.listen()
    return sock


@pytest.mark.parametrize("first", ["server", "client"])
def test_sessions_from_before_survive_apply_change_and_remove(machine: Machine, first: str) -> None:
    """An SSH login, an inbound and an outbound connection, idle until the rules are there."""
    with (
        listener(machine, machine.vm, 22) as ssh,
        listener(machine, machine.vm, 8080) as inbound,
        listener(machine, machine.peer, 8080) as outbound,
    ):
        sessions = {
            "ssh": Session(machine, ssh, machine.peer, VM),
            "inbound": Session(machine, inbound, machine.peer, VM),
            "outbound": Session(machine, outbound, machine.vm, PEER),
        }
        alive: dict[str, list[str]] = {}
        other = {"ISTIO_META_DNS_CAPTURE": "false", "ISTIO_INBOUND_PORTS": "80"}
        for step, env in enumerate(({}, other, None, {}, None)):
            what = f"{step}: {'remove' if env is None else f'apply {env}'}"
            answer(machine.driver("remove") if env is None else machine.driver("apply", env=env))
            alive[what] = [name for name, session in sessions.items() if session.survives(first)]
        for session in sessions.values():
            session.close()
    assert all(names == ["ssh", "inbound", "outbound"] for names in alive.values()), alive


def test_captured_connections_survive_removal_while_envoy_lives(machine: Machine, world: Echo) -> None:
    machine.apply()
    outbound = machine.connect(machine.vm, PEER, 8080)
    inbound = machine.connect(machine.peer, VM, 8080)
    heard = []
    for change in (machine.verify, machine.remove, machine.apply, machine.remove):
        change()
        heard.append((ask(outbound), ask(inbound)))
    outbound.close()
    inbound.close()
    assert heard == [("envoy-outbound", "envoy-inbound")] * 4


def test_a_connection_of_the_time_between_stays_direct(machine: Machine, world: Echo) -> None:
    machine.apply()
    machine.remove()
    with machine.connect(machine.vm, PEER, 8080) as between:
        assert ask(between) == f"tcp-{PEER}"
        machine.apply()
        assert ask(between) == f"tcp-{PEER}"


def test_removal_leaves_no_query_behind_in_the_agents_hands(machine: Machine, world: Echo) -> None:
    """A resolver that asks from one socket for ever must not be stuck with a translation to a dead agent."""
    machine.apply()
    with machine.open(machine.vm, socket.SOCK_DGRAM, PEER, 1000, 1000) as resolver:
        resolver.settimeout(1)
        resolver.connect((PEER, 53))
        assert ask(resolver) == "agent-dns"
        machine.remove()
        assert ask(resolver) == f"udp-{PEER}"
        machine.apply()
        assert ask(resolver) == "agent-dns"


def test_the_hold_stays_until_purge(machine: Machine) -> None:
    machine.apply()
    machine.remove()
    assert "istio_agent_hold" in machine.run("nft", "list", "tables")
    machine.driver("purge")
    assert "istio_agent_hold" not in machine.run("nft", "list", "tables")


def test_without_nft_captured_connections_survive_removal_too(machine: Machine, world: Echo) -> None:
    """One iptables rule holds the tracking, and where iptables is the nf_tables one a table that the kernel
    was asked for directly holds the translation; legacy keeps its tables.
    """
    machine.without_nft = True
    before = machine.comparable()
    machine.apply()
    captured = machine.connect(machine.vm, PEER, 8080)
    for _ in range(2):
        machine.remove()
        assert ask(captured) == "envoy-outbound"
        machine.apply()
        assert ask(captured) == "envoy-outbound"
    captured.close()
    machine.remove()
    held = [line for line in machine.saved().splitlines() if "istio-agent-hold" in line]
    assert held == ["-A OUTPUT -m conntrack --ctstate NEW -m comment --comment istio-agent-hold"]
    machine.apply()
    machine.driver("purge")
    assert "istio-agent-hold" not in machine.saved()
    machine.without_nft = False
    assert "istio_agent_hold" not in machine.run("nft", "list", "tables")
    if machine.flavour == "legacy":
        assert machine.comparable() == before
