"""A machine in the mesh gets another address while it runs. The tests are one story, in this order."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from lab.demo import resilience
from lab.demo.names import CURL, ENTRY, GET_ENTRY, VM_ANSWER
from lab.demo.stage import SCENARIO, Stage
from lab.hosts import services
from tests.netns.story.joined import two_machines

OTHER = "192.168.0.205"
OTHER_ENTRY = f"nginx-{OTHER}"
ENTRIES = "get workloadentry -n istio-demo"


QUICKLY = {"PILOT_WORKLOAD_ENTRY_GRACE_PERIOD": "5s"}
NOTICES = ("--keepalive-interval", "2s", "--keepalive-timeout", "2s")
"""A machine whose address went cannot close its connection: istiod finds out after 40 s, this one after 4."""


def begin(stage: Stage) -> None:
    stage.services["istiod"] = services.start_control_plane(
        stage.lab.host("istiod"), resources=SCENARIO / "cluster", env=QUICKLY, arguments=NOTICES
    )


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with two_machines("moving", begin=begin, before=bridge) as stage:
        stage.until("the first answer", lambda: answered(stage), within=20)
        yield stage


def bridge(stage: Stage) -> None:
    """As Docker leaves one: an address that comes before the others, and that nobody outside reaches."""
    stage.type(
        "vm",
        "ip link add docker0 type bridge && ip addr add 172.17.0.1/16 dev docker0 && ip link set docker0 up",
    )


def answered(stage: Stage) -> bool:
    return VM_ANSWER in stage.quietly("client", f"{CURL} nginx.jd.com")


def readdress(stage: Stage, old: str, new: str) -> None:
    """As a DHCP client does it: the old address goes, its routes with it, and then the new one comes."""
    nic = stage.quietly("vm", f"ip -o -4 addr show | awk '/{old}/ {{print $2; exit}}'").strip()
    route = stage.quietly("vm", "ip route show default").strip()
    assert nic
    assert route
    stage.type("vm", f"ip addr del {old}/24 dev {nic}; ip addr add {new}/24 dev {nic}; ip route add {route}")


def agent(stage: Stage) -> str:
    return stage.quietly("vm", "cat /run/istio-agent/lock").strip()


def test_an_address_of_a_container_bridge_is_not_the_machines(stage: Stage) -> None:
    assert ENTRY in stage.mesh_quietly(ENTRIES)
    assert "172.17.0.1" not in stage.mesh_quietly(ENTRIES)


def test_another_address_is_registered_without_a_restart_and_the_old_entry_goes(stage: Stage) -> None:
    before, envoy = agent(stage), stage.quietly("vm", "pgrep -u istio-proxy envoy")
    asking = stage.lab.host("client").spawn(
        ["bash", "-c", resilience.ASK.format(100)], log="/var/log/asking.log"
    )
    readdress(stage, "192.168.0.204", OTHER)
    began = time.monotonic()
    stage.until("it registers", lambda: OTHER_ENTRY in stage.mesh_quietly(ENTRIES), within=15)
    stage.until("and is healthy", lambda: "status: 'True'" in stage.mesh_quietly(entry(OTHER)), within=15)
    stage.until("it answers", lambda: answered(stage), within=15)
    print(f"{time.monotonic() - began:.1f} s until it answers")
    asking.wait(timeout=60)
    answers = stage.quietly("client", "sort /tmp/answers | uniq -c").split()
    print(f"of 100 requests around the change: {answers}")
    assert int(answers[answers.index("200") - 1]) >= 50  # the old entry is there until istiod notices
    stage.until("the old entry goes", lambda: ENTRY not in stage.mesh_quietly(ENTRIES), within=20)
    assert (agent(stage), stage.quietly("vm", "pgrep -u istio-proxy envoy")) == (before, envoy)
    assert f"sidecar~{OTHER}~" in stage.quietly("vm", "vmagent status --json")
    log = stage.quietly("vm", f"cat {services.AGENT_LOG}")
    assert f"this machine's address is {OTHER} now, and was 192.168.0.204: registering again" in log


def entry(address: str) -> str:
    return GET_ENTRY.replace(ENTRY, f"nginx-{address}")


def test_an_address_that_goes_and_comes_back_at_once_is_no_change(stage: Stage) -> None:
    uid = resilience.identity(stage.mesh_quietly(entry(OTHER)))
    times = stage.quietly("vm", f"grep -c 'registering again' {services.AGENT_LOG}")
    readdress(stage, OTHER, OTHER)
    stage.until("it answers", lambda: answered(stage), within=15)
    time.sleep(4)  # longer than an address must last to count: that nothing happens takes its time
    assert stage.quietly("vm", f"grep -c 'registering again' {services.AGENT_LOG}") == times
    assert resilience.identity(stage.mesh_quietly(entry(OTHER))) == uid


def test_back_at_its_old_address_it_is_what_it_was(stage: Stage) -> None:
    readdress(stage, OTHER, "192.168.0.204")
    stage.until("it registers", lambda: ENTRY in stage.mesh_quietly(ENTRIES), within=15)
    stage.until("it answers", lambda: answered(stage), within=20)
    stage.until("the other entry goes", lambda: OTHER_ENTRY not in stage.mesh_quietly(ENTRIES), within=20)


def test_an_ipv6_address_that_another_machine_has_is_named_and_not_registered(stage: Stage) -> None:
    """The kernel finds out by itself."""
    for host in ("client", "vm"):
        nic = stage.quietly(host, "ip -o -4 addr show | awk '/192.168.0/ {print $2; exit}'").strip()
        stage.type(host, f"sysctl -qw net.ipv6.conf.{nic}.disable_ipv6=0; ip addr add fd00:5::7/64 dev {nic}")
        stage.until(
            f"{host} has looked whether somebody has it",
            partial(looked, stage, host),
            within=10,
        )
    assert "dadfailed" in stage.quietly("vm", "ip -6 addr show")
    told = stage.quietly("vm", "vmagent config check 2>&1")
    assert "another machine of this network has fd00:5::7, too: it is not registered" in told
    assert "fd00:5::7" not in stage.quietly("vm", "vmagent config show --json")


def looked(stage: Stage, host: str) -> bool:
    addresses = stage.quietly(host, "ip -6 addr show")
    return "fd00:5::7" in addresses and ("tentative" not in addresses or "dadfailed" in addresses)


def test_an_address_of_ipv4_that_another_machine_has_is_named_by_the_second_one(stage: Stage) -> None:
    """Neither the kernel nor istiod tells it, which lets both share one entry. Who may open
    a packet socket asks by ARP."""
    taken = "192.168.0.206"
    stage.type("outside", f"ip addr add {taken}/24 dev eth0")
    assert "another machine has" not in stage.quietly("vm", "vmagent status")
    began = time.monotonic()
    readdress(stage, "192.168.0.204", taken)
    stage.until(
        "status says so",
        lambda: (
            f"another machine has this one's address, too: {taken} (02:00:c0:a8:00:46 on eth0)"
            in stage.quietly("vm", "vmagent status")
        ),
        within=60,
    )
    print(f"{time.monotonic() - began:.1f} s until the second machine says so")
    assert status(stage)["trouble"]["address"].endswith("the mesh takes both for one")
    assert f"too: {taken}" in stage.quietly("vm", f"cat {services.CAPTURE_LOG}")
    readdress(stage, taken, "192.168.0.204")
    stage.type("outside", f"ip addr del {taken}/24 dev eth0")
    stage.until("and no more", lambda: "address" not in status(stage)["trouble"], within=60)
    stage.until("it answers", lambda: answered(stage), within=40)


def status(stage: Stage) -> dict[str, Any]:
    return dict(json.loads(stage.quietly("vm", "vmagent status --json")))


def test_leases_of_a_dhcp_server_are_followed(stage: Stage) -> None:
    """A real client and a real server. The second lease is another one, since the server has other addresses
    by then and refuses the first."""
    with leases(stage, "192.168.0.221"):
        client = stage.lab.host("vm").spawn(
            ["udhcpc", "-f", "-i", "eth0", "-T", "1"], log="/var/log/dhcp.log"
        )
        stage.until("the first lease is registered", lambda: registered(stage, "192.168.0.221"), within=60)
        stage.until("it answers", lambda: answered(stage), within=40)
    with leases(stage, "192.168.0.222"):
        asking = stage.lab.host("client").spawn(
            ["bash", "-c", resilience.ASK.format(100)], log="/var/log/asking.log"
        )
        began = time.monotonic()
        stage.type("vm", f"kill -USR1 {client.pid}")
        stage.until("the second lease is registered", lambda: registered(stage, "192.168.0.222"), within=60)
        print(f"{time.monotonic() - began:.1f} s from the question to the server until it is registered")
        asking.wait(timeout=120)
        answers = stage.quietly("client", "sort /tmp/answers | uniq -c").split()
        print(f"of 100 requests while a server gave another lease: {answers}")
        stage.until("it answers", lambda: answered(stage), within=40)
    client.stop(10)
    stage.until("the first entry goes", lambda: "192.168.0.221" not in stage.mesh_quietly(ENTRIES), within=60)
    readdress(stage, "192.168.0.222", "192.168.0.204")
    stage.until("it registers", lambda: registered(stage, "192.168.0.204"), within=30)
    stage.until("the second entry goes", lambda: not registered(stage, "192.168.0.222"), within=60)
    stage.until("it answers", lambda: answered(stage), within=40)


def registered(stage: Stage, address: str) -> bool:
    return f"nginx-{address}" in stage.mesh_quietly(ENTRIES)


@contextmanager
def leases(stage: Stage, address: str) -> Iterator[None]:
    """A server that gives this one."""
    server = stage.lab.host("outside")
    words = (
        "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--interface=eth0",
        "--bind-interfaces", "--dhcp-authoritative", f"--dhcp-range={address},{address},255.255.255.0,2m",
        "--dhcp-option=3,192.168.0.1", "--dhcp-option=6,127.0.0.53", "--no-ping", "--pid-file", "--user=root",
        f"--dhcp-leasefile=/tmp/leases-{address}",
    )  # fmt: skip
    process = server.spawn(words, log="/var/log/dhcp.log")
    try:
        server.until_listening(process, 67, kind="udp")
        yield
    finally:
        process.stop(10)


def test_a_second_agent_on_the_machine_says_who_has_its_place(stage: Stage) -> None:
    """One address, one entry: which the second one would share."""
    told = stage.quietly(
        "vm", "setpriv --reuid=istio-proxy --regid=istio-proxy --init-groups vmagent proxy 2>&1"
    )
    assert f"another agent (pid {agent(stage)}) runs on this machine" in told
    assert ENTRY in stage.mesh_quietly(ENTRIES)
    stage.until("it answers", lambda: answered(stage), within=40)
