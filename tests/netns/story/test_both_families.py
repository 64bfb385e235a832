"""Machines with addresses of both families, which are told to use both. One story, in this order: the control
plane serves both, then one that knows nothing of it takes its place, then the rules go."""

from collections.abc import Iterator

import pytest

from lab.demo import resilience
from lab.demo.names import CLIENT_NAME, CURL, OUTSIDE_ANSWER, VM_ANSWER, VM_NAME
from lab.demo.saved import undone
from lab.demo.stage import SCENARIO, Stage
from lab.hosts import services
from lab.hosts.world import ISTIOD, OUTSIDE, Families, address6
from tests.netns.story.joined import joined, two_machines

BOTH = {"vm": Families.BOTH, "client": Families.BOTH, "outside": Families.BOTH}
VM4 = "192.168.0.204"
VM6 = address6(VM4)
EVERYWHERE = ("--listen", "[::]:15012")

BY_IPV4 = f"""
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: four, namespace: istio-demo}}
spec:
  hosts: [four.jd.com]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{{number: 80, name: http, protocol: HTTP}}]
  endpoints:
    - address: {VM4}
      serviceAccount: vm
      labels: {{security.istio.io/tlsMode: istio}}
"""
"""The same VM by its other address: it has registered one."""


def begin(stage: Stage, dual_stack: str = "true") -> None:
    stage.services["istiod"] = services.start_control_plane(
        stage.lab.host("istiod"),
        resources=SCENARIO / "cluster",
        env={"ISTIO_DUAL_STACK": dual_stack},
        arguments=EVERYWHERE,
    )


def before(stage: Stage) -> None:
    stage.kept |= traces(stage)
    stage.lab.host("istiod").write("/etc/istiod/resources/four.yaml", BY_IPV4)


def traces(stage: Stage) -> dict[str, str]:
    return {
        command: stage.quietly("client", command)
        for command in ("iptables-save", "ip6tables-save", "ip -o addr show dev lo")
    }


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    settings = {"ISTIO_DUAL_STACK": "true"}
    with two_machines("both", begin=begin, families=BOTH, before=before, settings=settings) as stage:
        services.start_application(stage.lab.host("outside"))
        stage.until("the first answer", lambda: VM_ANSWER in asked(stage, "nginx.jd.com"), within=30)
        yield stage


def asked(stage: Stage, url: str, host: str = "client") -> str:
    return stage.quietly(host, f"{CURL} -g {url}")


def told(stage: Stage, host: str) -> str:
    return stage.quietly(host, f"cat {services.CAPTURE_LOG}")


def captured(stage: Stage, host: str, family: str, rule: str) -> int:
    """Packets that a rule has met."""
    tool = {"4": "iptables-save", "6": "ip6tables-save"}[family]
    line = stage.quietly(host, f"{tool} -c | grep istio-agent:{rule}")
    return int(line.partition("[")[2].partition(":")[0] or 0)


def test_its_node_has_addresses_of_both_and_registers_the_one_towards_istiod(stage: Stage) -> None:
    entries = stage.mesh_quietly("get workloadentry -n istio-demo")
    assert VM6.replace(":", "-") in entries
    assert VM4 not in entries
    status = stage.quietly("vm", "vmagent config show --json")
    assert VM4 in status
    assert VM6 in status


def test_a_name_of_the_mesh_has_an_address_of_each(stage: Stage) -> None:
    assert stage.quietly("client", "dig +short A nginx.jd.com").startswith("240.240.0.")
    assert stage.quietly("client", "dig +short AAAA nginx.jd.com").startswith("2001:2::")


@pytest.mark.parametrize("family", ["4", "6"])
def test_what_goes_out_is_captured_in_each(stage: Stage, family: str) -> None:
    before = captured(stage, "client", family, "to-envoy-outbound")
    assert VM_ANSWER in asked(stage, f"-{family} nginx.jd.com")
    assert OUTSIDE_ANSWER in asked(stage, f"-{family} outside.example")
    assert captured(stage, "client", family, "to-envoy-outbound") >= before + 2


@pytest.mark.parametrize(("name", "family", "source"), [("nginx", "6", "::6"), ("four", "4", "127.0.0.6")])
def test_what_comes_in_goes_through_envoy_by_mutual_tls_in_each(
    stage: Stage, name: str, family: str, source: str
) -> None:
    assert captured(stage, "vm", family, "inbound-all") or name == "four"
    stage.until("it answers", lambda: VM_ANSWER in asked(stage, f"{name}.jd.com"), within=15)
    last = stage.quietly("vm", "grep host= /var/log/nginx/access.log | grep -v istio-probe | tail -n1")
    assert f"host={name}.jd.com" in last
    assert f"peer={source}\t" in last
    assert f"By={VM_NAME}" in last
    assert f"URI={CLIENT_NAME}" in last
    assert captured(stage, "vm", family, "inbound-all")


@pytest.mark.parametrize("server", ["10.96.0.10", address6("10.96.0.10")])
def test_questions_for_names_are_captured_in_each(stage: Stage, server: str) -> None:
    assert f"nameserver {server}" in stage.quietly("client", "cat /etc/resolv.conf")
    assert stage.quietly("client", f"dig +short A nginx.jd.com @{server}").startswith("240.240.0.")


def test_with_an_istiod_that_serves_ipv4_alone_ipv6_goes_direct_and_that_is_said(stage: Stage) -> None:
    """Envoy gets no listener of IPv6 then; captured, every connection of IPv6 would be refused."""
    stage.stop("istiod")
    begin(stage, "false")
    for host in ("client", "vm"):
        stage.until(
            f"the rules of {host} follow",
            lambda host=host: "although ISTIO_DUAL_STACK=true here" in told(stage, host),  # type: ignore[misc]
            within=60,
        )
        assert "ISTIO" not in stage.quietly(host, "ip6tables-save")
    assert OUTSIDE_ANSWER in asked(stage, f"[{address6(OUTSIDE)}]")
    assert OUTSIDE_ANSWER in asked(stage, OUTSIDE)
    assert VM_ANSWER in asked(stage, "four.jd.com")
    assert VM_ANSWER in asked(stage, f"[{VM6}]")


def test_with_one_that_serves_both_again_both_are_captured_again(stage: Stage) -> None:
    stage.stop("istiod")
    begin(stage)
    for host in ("client", "vm"):
        stage.until(
            f"the rules of {host} follow",
            lambda host=host: "--to-ports 15001" in stage.quietly(host, "ip6tables-save"),  # type: ignore[misc]
            within=60,
        )
    for family in ("4", "6"):
        stage.until(
            "it answers",
            lambda family=family: VM_ANSWER in asked(stage, f"-{family} nginx.jd.com"),  # type: ignore[misc]
            within=15,
        )


def test_a_machine_that_loses_its_addresses_of_one_family_goes_on_in_the_other(stage: Stage) -> None:
    """Envoy was started with its administration and its probes on the other loopback: it gets a successor, by
    hot restart."""
    envoy = stage.quietly("vm", "cat /run/istio-agent/envoy.pid")
    asking = stage.lab.host("client").spawn(
        ["bash", "-c", resilience.ASK.replace("nginx.jd.com", "four.jd.com").format(150)],
        log="/var/log/asking.log",
    )
    known = f"echo {ISTIOD} istiod.istio-system.svc >>/etc/hosts"
    stage.type("vm", f"{known}; ip addr del {VM6}/64 dev eth0")
    stage.until(
        "it registers its other address",
        lambda: f"nginx-{VM4}" in stage.mesh_quietly("get workloadentry -n istio-demo"),
        within=60,
    )
    stage.until(
        "it has another Envoy",
        lambda: stage.quietly("vm", "cat /run/istio-agent/envoy.pid") != envoy,
        within=60,
    )
    joined(stage, "vm")
    ready = "curl -s -o /dev/null -w '%{http_code}' --max-time 5"
    stage.until(
        "the probe answers",
        lambda: stage.quietly("vm", f"{ready} http://127.0.0.1:15021/healthz/ready") == "200",
        within=30,
    )
    asking.wait(timeout=120)
    answers = stage.quietly("client", "sort /tmp/answers | uniq -c").split()
    print(f"of 150 requests while Envoy got a successor: {answers}")
    assert answers == ["150", "200"]
    assert "'--restart-epoch', '1'" in stage.quietly("vm", f"cat {services.AGENT_LOG}")


def test_capture_leaves_no_trace_in_either_family(stage: Stage) -> None:
    assert "::6/128" in stage.quietly("client", "ip -o addr show dev lo")
    stage.stop("capture@client")
    for command, after in traces(stage).items():
        if command.endswith("save"):
            assert undone(stage.kept[command], after), after
        else:
            assert after == stage.kept[command]
    assert VM_ANSWER in asked(stage, VM4)
    assert OUTSIDE_ANSWER in asked(stage, f"[{address6(OUTSIDE)}]")
