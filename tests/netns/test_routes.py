"""Routes that lead nowhere, as hardening guides ask for, in a network of its own."""

import json
import subprocess
import sys

import pytest

from tests.conftest import ROOT

NETWORK = """
ip link set lo up
ip link add outside type veth peer name beyond
ip link set beyond up
ip address add 10.9.9.9/24 dev outside
ip -6 address add fd00:9::9/64 dev outside nodad
ip link set outside up
ip route add default via 10.9.9.1
ip -6 route add default via fd00:9::1
{more}
exec {python} -c '{program}'
"""

PROGRAM = """
import json
from pathlib import Path
from vmagent.config import addresses
found = addresses.read(Path("/nowhere"), peers=("10.1.1.1", "fd00:1::1"))
print(json.dumps([found.routed, found.towards, [each.ip for each in found.addresses]]))
"""

ALL = ["10.9.9.9", "fd00:9::9"]


def seen(more: str) -> tuple[list[str], list[str]]:
    """What routes to nowhere in particular, and to the control plane, send from."""
    script = NETWORK.format(more=more, python=sys.executable, program=PROGRAM.replace("'", '"'))
    done = subprocess.run(
        ["unshare", "--net", "sh", "-ec", script], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    routed, towards, addresses = json.loads(done.stdout)
    assert addresses == ALL, "the machine has them, wherever routes lead"
    return routed, towards


def test_a_default_route_leads_to_everybody() -> None:
    assert seen("") == (ALL, ALL)


@pytest.mark.parametrize("kind", ["blackhole", "prohibit", "unreachable"])
def test_an_address_of_no_one_that_is_dropped_costs_the_default_routes_word_alone(kind: str) -> None:
    """The kernel says EINVAL of a blackhole, EACCES and EHOSTUNREACH of the others."""
    routed, towards = seen(f"ip route add {kind} 192.0.2.0/24\nip -6 route add {kind} 2001:db8::/32")
    assert towards == ALL
    assert routed == []


@pytest.mark.parametrize("kind", ["blackhole", "prohibit", "unreachable"])
def test_a_control_plane_behind_such_a_route_has_no_route(kind: str) -> None:
    routed, towards = seen(f"ip route add {kind} 10.1.0.0/16\nip -6 route add {kind} fd00:1::/32")
    assert routed == ALL
    assert towards == []


def test_a_machine_without_ipv6_has_the_routes_of_ipv4() -> None:
    script = "sysctl -qw net.ipv6.conf.all.disable_ipv6=1"
    done = subprocess.run(
        [
            *("unshare", "--net", "sh", "-ec"),
            NETWORK.replace("ip -6 address add fd00:9::9/64 dev outside nodad\n", "")
            .replace("ip -6 route add default via fd00:9::1\n", "")
            .format(more=script, python=sys.executable, program=PROGRAM.replace("'", '"')),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [["10.9.9.9"], ["10.9.9.9"], ["10.9.9.9"]]
