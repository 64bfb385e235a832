"""Machines that have addresses of IPv6 alone join, and speak with one another. One lab; the last test takes
the rules back. The VM has Docker's bridge, whose address of IPv4 is no way to anywhere."""

from collections.abc import Iterator

import pytest

from lab.demo.names import CLIENT_NAME, CURL, OUTSIDE_ANSWER, VM_ANSWER, VM_NAME
from lab.demo.saved import undone
from lab.demo.stage import SCENARIO, Stage
from lab.hosts import services
from lab.hosts.world import ISTIOD, OUTSIDE, Families, address6
from tests.netns.story.joined import joined, two_machines

ONLY = {"vm": Families.IPV6, "client": Families.IPV6, "outside": Families.BOTH}
VM = address6("192.168.0.204")
CONTAINER = "172.17.0.1"


def begin(stage: Stage) -> None:
    stage.services["istiod"] = services.start_control_plane(
        stage.lab.host("istiod"), resources=SCENARIO / "cluster", arguments=("--listen", "[::]:15012")
    )


def before(stage: Stage) -> None:
    for words in (
        "link add docker0 type bridge",
        f"addr add {CONTAINER}/16 dev docker0",
        "link set docker0 up",
    ):
        stage.type("vm", f"ip {words}")
    stage.kept |= traces(stage)


def traces(stage: Stage) -> dict[str, str]:
    return {
        command: stage.quietly("vm", command)
        for command in ("iptables-save", "ip6tables-save", "ip -o addr show dev lo")
    }


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with two_machines("only6", begin=begin, families=ONLY, before=before) as stage:
        services.start_application(stage.lab.host("outside"))
        stage.until("the first answer", lambda: VM_ANSWER in asked(stage, "nginx.jd.com"), within=30)
        yield stage


def asked(stage: Stage, url: str, host: str = "client") -> str:
    return stage.quietly(host, f"{CURL} -g {url}")


def captured(stage: Stage, host: str, rule: str) -> int:
    """Packets that a rule of IPv6 has met."""
    line = stage.quietly(host, f"ip6tables-save -c | grep istio-agent:{rule}")
    return int(line.partition("[")[2].partition(":")[0])


def test_it_registers_its_address_and_nothing_of_ipv4(stage: Stage) -> None:
    entries = stage.mesh_quietly("get workloadentry -n istio-demo -o yaml")
    assert f"name: nginx-{VM.replace(':', '-')}" in entries
    assert f"address: {VM}" in entries
    assert CONTAINER not in entries
    assert CONTAINER not in stage.quietly("vm", "vmagent status --json")


def test_requests_go_through_both_envoys_by_mutual_tls(stage: Stage) -> None:
    out = captured(stage, "client", "to-envoy-outbound")
    arrived = captured(stage, "vm", "to-envoy-inbound")
    assert VM_ANSWER in asked(stage, "nginx.jd.com")
    last = stage.quietly("vm", "grep host= /var/log/nginx/access.log | grep -v istio-probe | tail -n1")
    assert "peer=::6" in last
    assert f"By={VM_NAME}" in last
    assert f"URI={CLIENT_NAME}" in last
    assert captured(stage, "client", "to-envoy-outbound") > out
    assert captured(stage, "vm", "to-envoy-inbound") >= arrived  # Envoy may keep the connection of before


def test_names_are_answered_in_ipv6_and_asked_over_it(stage: Stage) -> None:
    for how in ("", "+tcp"):
        before = captured(stage, "client", f"dns-{how.lstrip('+') or 'udp'}")
        assert stage.quietly("client", f"dig +short {how} AAAA nginx.jd.com").strip() == "2001:2::1"
        assert captured(stage, "client", f"dns-{how.lstrip('+') or 'udp'}") > before
    assert "status: NOERROR" in stage.quietly("client", "dig A nginx.jd.com")
    assert stage.quietly("client", "dig +short A nginx.jd.com") == ""
    assert stage.quietly("client", "dig +short AAAA outside.example").strip() == address6(OUTSIDE)
    assert stage.quietly("client", "dig +short AAAA istiod.istio-system.svc").strip() == address6(ISTIOD)


@pytest.mark.parametrize("loopback", ["::1", "127.0.0.1"])
def test_the_agent_answers_on_both_loopbacks(stage: Stage, loopback: str) -> None:
    asked = f"dig +short -p 15053 @{loopback} AAAA"
    assert stage.quietly("vm", f"{asked} nginx.jd.com").strip() == "2001:2::1"
    assert stage.quietly("vm", f"{asked} outside.example").strip() == address6(OUTSIDE)


def test_a_resolver_of_ipv4_on_the_machine_itself_is_captured_too(stage: Stage) -> None:
    """As systemd-resolved's 127.0.0.53 is: loopback is there without any address."""
    assert "nameserver 127.0.0.53" in stage.quietly("vm", "cat /etc/resolv.conf")
    assert stage.quietly("vm", "dig +short AAAA nginx.jd.com").strip() == "2001:2::1"
    assert stage.quietly("vm", "dig +short AAAA outside.example").strip() == address6(OUTSIDE)


def test_what_the_mesh_does_not_know_passes_through_envoy(stage: Stage) -> None:
    before = captured(stage, "client", "to-envoy-outbound")
    assert OUTSIDE_ANSWER in asked(stage, "outside.example")
    assert OUTSIDE_ANSWER in asked(stage, f"[{address6(OUTSIDE)}]")
    assert captured(stage, "client", "to-envoy-outbound") >= before + 2


def test_connections_to_a_container_of_the_machine_are_left_alone(stage: Stage) -> None:
    """Envoy listens on IPv6 only: captured, they would be refused."""
    assert VM_ANSWER in asked(stage, CONTAINER, host="vm")
    assert "REDIRECT --to-ports 15001" not in stage.quietly("vm", "iptables-save")
    assert "REDIRECT --to-ports 15001" in stage.quietly("vm", "ip6tables-save")
    assert "IPv4 is not captured, but for questions for names" in stage.quietly("vm", "vmagent capture plan")


@pytest.mark.parametrize("what", ["15021/healthz/ready", "15020/healthz/ready", "15090/stats/prometheus"])
def test_probes_and_metrics_are_reached_by_ipv6(stage: Stage, what: str) -> None:
    told = stage.quietly(
        "outside", f"curl -s -g -o /dev/null -w '%{{http_code}}' --max-time 5 'http://[{VM}]:{what}'"
    )
    assert told == "200"


def test_a_restart_of_the_agent_longer_than_a_moment_keeps_the_rules_while_envoy_serves(stage: Stage) -> None:
    """Whether it does is tried on the loopback of IPv6."""
    log = stage.quietly("vm", f"cat {services.CAPTURE_LOG}")
    agent = stage.services["agent@vm"].process
    stage.quietly("vm", f"kill -STOP {agent.pid}; kill -KILL {agent.pid}")
    agent.wait(timeout=20)
    stage.until(
        "nobody holds the lock",
        lambda: "not running" in stage.quietly("vm", "vmagent status 2>&1"),
        within=20,
    )
    stage.until(
        "longer than Envoy would get, were it gone",
        lambda: "15001" in stage.quietly("vm", "sleep 7; ip6tables-save"),
        within=20,
    )
    assert VM_ANSWER in asked(stage, "nginx.jd.com")
    stage.services["agent@vm"] = services.start_agent(stage.lab.host("vm"))
    joined(stage, "vm")
    assert "taking the rules back" not in stage.quietly("vm", f"cat {services.CAPTURE_LOG}")[len(log) :]


def test_capture_leaves_no_trace_in_either_family(stage: Stage) -> None:
    assert "::6/128" in stage.quietly("vm", "ip -o addr show dev lo")
    stage.stop("capture@vm")
    for command, after in traces(stage).items():
        if command.endswith("save"):
            assert undone(stage.kept[command], after), after
        else:
            assert after == stage.kept[command]
    assert VM_ANSWER in asked(stage, f"[{VM}]", host="vm")
