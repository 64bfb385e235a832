"""Where packets go while capture is on: one table, the same for every flavour."""

import socket

import pytest

from tests.netns.capture.machine import GID, OTHER, PEER, UID, VM, Echo, Machine

UDP = socket.SOCK_DGRAM
APP, ENVOY = (1000, 1000), (UID, GID)
SAME_GROUP, SAME_USER = (1001, GID), (UID, 1001)

FROM_VM_TCP = (
    ("an application's connection to the world is captured", APP, PEER, 8080, "envoy-outbound"),
    ("so is one to a mesh address that exists nowhere", APP, "240.240.0.2", 80, "envoy-outbound"),
    ("Envoy's own connection is not", ENVOY, PEER, 8080, f"tcp-{PEER}"),
    ("nor one of its user alone", SAME_USER, PEER, 8080, f"tcp-{PEER}"),
    ("nor one of its group alone", SAME_GROUP, PEER, 8080, f"tcp-{PEER}"),
    ("loopback is left alone", APP, "127.0.0.1", 8080, "vm-app"),
    ("so is an application that calls this machine by its own address", APP, VM, 8080, "vm-app"),
    ("Envoy calling this machine by its own address comes in by the door", ENVOY, VM, 8080, "envoy-inbound"),
    ("except through the tunnel port", ENVOY, VM, 15008, "vm-app"),
    ("Envoy reaches loopback directly", ENVOY, "127.0.0.1", 8080, "vm-app"),
    ("DNS over TCP to the resolver goes to the agent", APP, PEER, 53, "agent-dns"),
    ("the agent's own goes to the resolver", ENVOY, PEER, 53, f"tcp-{PEER}"),
    ("DNS over TCP to anybody else is a connection like others", APP, OTHER, 53, "envoy-outbound"),
)  # fmt: skip

FROM_VM_UDP = (
    ("DNS to the resolver goes to the agent, who answers as it", APP, PEER, 53, "agent-dns"),
    ("the agent's own query goes to the resolver", ENVOY, PEER, 53, f"udp-{PEER}"),
    ("a query to another resolver is not touched", APP, OTHER, 53, f"udp-{OTHER}"),
    ("nor is one to a local resolver that resolv.conf does not name", APP, "127.0.0.1", 53, "vm-udp"),
    ("nor NTP", APP, PEER, 123, f"udp-{PEER}"),
    ("nor QUIC", APP, PEER, 443, f"udp-{PEER}"),
)  # fmt: skip

FROM_PEER_TCP = (
    ("a connection from outside is captured", 8080, "envoy-inbound"),
    ("SSH is not", 22, "vm-app"),
    ("nor the health port", 15021, "vm-app"),
    ("nor the agent's", 15020, "vm-app"),
    ("nor Prometheus", 15090, "vm-app"),
    ("nor the tunnel", 15008, "vm-app"),
)  # fmt: skip


def test_every_packet_goes_where_the_table_says(machine: Machine, world: Echo) -> None:
    machine.apply()
    seen = {
        **{what: machine.tcp(machine.vm, to, port, *who) for what, who, to, port, _ in FROM_VM_TCP},
        **{what: machine.udp(machine.vm, to, port, *who) for what, who, to, port, _ in FROM_VM_UDP},
        **{what: machine.tcp(machine.peer, VM, port) for what, port, _ in FROM_PEER_TCP},
        "UDP from outside is not touched": machine.udp(machine.peer, VM, 9999),
    }
    expected = {row[0]: row[-1] for row in (*FROM_VM_TCP, *FROM_VM_UDP, *FROM_PEER_TCP)}
    assert seen == {**expected, "UDP from outside is not touched": "vm-udp"}


def test_without_capture_every_packet_goes_where_it_was_sent(machine: Machine, world: Echo) -> None:
    machine.apply()
    machine.remove()
    assert machine.tcp(machine.vm, PEER, 8080) == f"tcp-{PEER}"
    assert machine.tcp(machine.vm, PEER, 53) == f"tcp-{PEER}"
    assert machine.udp(machine.vm, PEER, 53) == f"udp-{PEER}"
    assert machine.tcp(machine.peer, VM, 8080) == "vm-app"


@pytest.mark.parametrize(
    ("env", "to", "port", "expected"),
    [
        ({"ISTIO_LOCAL_OUTBOUND_PORTS_EXCLUDE": "5432"}, PEER, 5432, f"tcp-{PEER}"),
        ({"ISTIO_SERVICE_EXCLUDE_CIDR": f"{OTHER}/32"}, OTHER, 8080, f"tcp-{OTHER}"),
        ({"ISTIO_SERVICE_EXCLUDE_CIDR": f"{OTHER}/32"}, PEER, 8080, "envoy-outbound"),
        ({"ISTIO_SERVICE_CIDR": f"{OTHER}/32"}, PEER, 8080, f"tcp-{PEER}"),
        ({"ISTIO_SERVICE_CIDR": f"{OTHER}/32"}, OTHER, 8080, "envoy-outbound"),
        ({"ISTIO_SERVICE_CIDR": "", "ISTIO_OUTBOUND_PORTS": "8080"}, PEER, 8080, "envoy-outbound"),
        ({"ISTIO_SERVICE_CIDR": "", "ISTIO_OUTBOUND_PORTS": "8080"}, PEER, 80, f"tcp-{PEER}"),
        ({"ISTIO_OUTBOUND_OWNER_GROUPS": "202"}, PEER, 8080, f"tcp-{PEER}"),
        ({"ISTIO_OUTBOUND_OWNER_GROUPS": "202,1000"}, PEER, 8080, "envoy-outbound"),
        ({"ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE": "1000"}, PEER, 8080, f"tcp-{PEER}"),
        ({"ISTIO_EXCLUDE_INTERFACES": "cap+"}, PEER, 8080, f"tcp-{PEER}"),
        ({"CAPTURE_ALL_DNS": "true"}, OTHER, 53, "agent-dns"),
        ({"DROP_INVALID": "true"}, PEER, 8080, "envoy-outbound"),
    ],
)
def test_settings_decide_what_is_captured(
    machine: Machine, world: Echo, env: dict[str, str], to: str, port: int, expected: str
) -> None:
    machine.apply(**env)
    assert machine.verify() == {"captured": True, "drift": []}
    assert machine.tcp(machine.vm, to, port) == expected


def test_inbound_lists_capture_only_what_they_name(machine: Machine, world: Echo) -> None:
    machine.apply(ISTIO_INBOUND_PORTS="80,8000:8090")
    assert machine.tcp(machine.peer, VM, 80) == "envoy-inbound"
    assert machine.tcp(machine.peer, VM, 8080) == "envoy-inbound"
    assert machine.tcp(machine.peer, VM, 22) == "vm-app"


def test_queries_from_one_reused_source_port_are_never_lost(machine: Machine, world: Echo) -> None:
    """Application and agent ask the same resolver from the same port in turn: two conntrack zones keep them
    apart.
    """
    machine.apply()
    for _ in range(20):
        for who, expected in ((APP, "agent-dns"), (ENVOY, f"udp-{PEER}")):
            with machine.open(machine.vm, UDP, PEER, *who) as sock:
                sock.settimeout(1)
                sock.bind((VM, 40053))
                sock.connect((PEER, 53))
                sock.send(b"?")
                assert sock.recv(100).decode() == expected
