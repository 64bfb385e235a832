"""What befalls an identity while requests cross the mesh all the time: not one is lost. In this order."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from lab.demo import joining, resilience, story
from lab.demo.names import CURL, VM_ANSWER
from lab.demo.stage import Stage
from lab.hosts import services
from lab.hosts.process import Process
from tests.netns.story.joined import HOSTS, joined, two_machines

LIFETIME = 40
"""Seconds: half of it is enough for the CA to be away over a renewal."""
ROOT = "/etc/certs/root-cert.pem"
CA = f"{services.STATE}/ca-key.pem {services.STATE}/root-cert.pem"
ASK = (
    "rm -f /tmp/answers /tmp/enough; until [ -e /tmp/enough ]; do"
    " curl -s -o /dev/null --max-time 2 -w '%{http_code}\\n' nginx.jd.com >>/tmp/answers; sleep 0.1; done"
)


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with two_machines("faults", begin=story.begin, settings={"SECRET_TTL": f"{LIFETIME}s"}) as stage:
        stage.until(
            "it answers", lambda: VM_ANSWER in stage.quietly("client", f"{CURL} nginx.jd.com"), within=20
        )
        yield stage


@dataclass
class Asking:
    """A request every tenth of a second, from the client to the VM's application."""

    stage: Stage
    process: Process

    def answers(self) -> Counter[str]:
        self.stage.type("client", "touch /tmp/enough")
        self.process.wait(timeout=10)
        return Counter(self.stage.quietly("client", "cat /tmp/answers").split())


def ask(stage: Stage) -> Asking:
    return Asking(stage, stage.lab.host("client").spawn(["bash", "-c", ASK], log="/var/log/asking.log"))


def status(stage: Stage, host: str = "vm") -> dict[str, Any]:
    return dict(json.loads(stage.quietly(host, "vmagent status --json") or "{}"))


def serial(stage: Stage, host: str) -> str:
    return stage.quietly(host, "openssl x509 -noout -serial -in /etc/certs/cert-chain.pem")


def troubled(stage: Stage, part: str, words: str) -> bool:
    return words in status(stage).get("trouble", {}).get(part, "")


def renewed(stage: Stage, host: str, before: str) -> bool:
    return serial(stage, host) not in ("", before)


def lost(asking: Asking) -> int:
    answers = asking.answers()
    print(f"{sum(answers.values())} requests: {dict(answers)}")
    assert answers["200"] > 10
    return sum(answers.values()) - answers["200"]


def test_the_ca_is_away_over_a_renewal(stage: Stage) -> None:
    asking = ask(stage)
    before = {host: serial(stage, host) for host in HOSTS}
    stage.stop("istiod")
    stage.until(
        "status says until when all is well",
        partial(troubled, stage, "identity", "the certificate is good until"),
        within=LIFETIME,
    )
    ready = stage.quietly("vm", "curl -s -w '%{http_code}' localhost:15020/healthz/ready")
    assert "the certificate is good until" in ready
    assert ready.endswith("200")
    resilience.start_control_plane(stage)
    began = time.monotonic()
    for host in HOSTS:
        stage.until(f"{host} renews", partial(renewed, stage, host, before[host]), within=15)
    print(f"healed {time.monotonic() - began:.1f} s after the CA's return")
    assert lost(asking) == 0
    stage.until("status says no more of it", lambda: "identity" not in status(stage)["trouble"], within=5)


def test_the_root_of_the_mesh_becomes_another_one(stage: Stage) -> None:
    asking = ask(stage)
    stage.type("istiod", f"mkdir /tmp/old /tmp/new && cp {CA} /tmp/old")
    stage.note("another authority is made, and its root handed out beside the old one")
    stage.stop("istiod")
    stage.type("istiod", f"rm {CA}")
    resilience.start_control_plane(stage)
    stage.stop("istiod")
    stage.type("istiod", f"cp {CA} /tmp/new && cp /tmp/old/* {services.STATE}")
    resilience.start_control_plane(stage)
    new = stage.quietly("istiod", "cat /tmp/new/root-cert.pem")
    for host in HOSTS:
        both = stage.lab.host(host).read(ROOT).rstrip("\n") + "\n" + new
        stage.lab.host(host).write(ROOT, both, mode=0o644, owner="istio-proxy")
    for host in HOSTS:
        stage.until(f"{host} trusts both", partial(trusts, stage, host, 2), within=10)
    stage.note("the control plane changes its authority")
    stage.stop("istiod")
    stage.type("istiod", f"cp /tmp/new/* {services.STATE}")
    before = {host: serial(stage, host) for host in HOSTS}
    resilience.start_control_plane(stage)
    for host in HOSTS:
        stage.until(f"{host} is connected", partial(resilience.connected, stage, host), within=20)
        stage.until(
            f"{host} has a new certificate", partial(renewed, stage, host, before[host]), within=LIFETIME
        )
        stage.until(f"{host} still trusts both", partial(trusts, stage, host, 2), within=5)
    stage.note("the old root is taken out")
    for host in HOSTS:
        stage.lab.host(host).write(ROOT, new, mode=0o644, owner="istio-proxy")
        stage.until(f"{host} trusts the new one alone", partial(trusts, stage, host, 1), within=5)
    assert lost(asking) == 0
    stage.until(
        "a request crosses", lambda: VM_ANSWER in stage.quietly("client", f"{CURL} nginx.jd.com"), within=5
    )


def trusts(stage: Stage, host: str, roots: int) -> bool:
    """As Envoy says of itself, for every context it has."""
    found = json.loads(stage.quietly(host, "curl -s localhost:15000/certs") or "{}").get("certificates", [])
    counts = [len(each.get("ca_cert", ())) for each in found if each.get("ca_cert")]
    return bool(counts) and set(counts) == {roots}


ASK_OUTSIDE = ASK.replace("nginx.jd.com", "outside.example")


def test_a_machine_that_starts_with_a_wrong_token_serves_its_programs_and_joins_with_the_right_one(
    stage: Stage,
) -> None:
    """Neither a certificate nor what the mesh said is left of before. Its own programs ask outside."""
    services.start_application(stage.lab.host("outside"))
    vm, token = stage.lab.host("vm"), "/var/run/secrets/tokens/istio-token"
    stage.stop("capture@vm")
    stage.stop("agent@vm")
    stage.type("vm", "rm -f /etc/certs/key.pem /etc/certs/cert-chain.pem /etc/istio/proxy/last-known-good")
    right = vm.read(token)
    vm.write(token, right.rstrip()[:-8] + "AAAAAAAA", mode=0o600, owner="istio-proxy")
    process = vm.spawn(["bash", "-c", ASK_OUTSIDE], log="/var/log/asking.log")
    joining.start(stage, "vm")
    stage.until(
        "status says why", lambda: "token" in status(stage).get("gates", {}).get("identity", ""), within=60
    )
    print(f"status: {status(stage)['gates']['identity']}")
    assert "ISTIO" not in stage.quietly("vm", "iptables-save")
    stage.until("some are asked", lambda: asked(stage) > 20, within=30)
    vm.write(token, right, mode=0o600, owner="istio-proxy")
    began = time.monotonic()
    stage.type("vm", "vmagent wait --timeout 55 identity")
    print(f"{time.monotonic() - began:.1f} s until it has a certificate")
    joined(stage, "vm")
    print(f"{time.monotonic() - began:.1f} s until it is captured")
    stage.until(
        "a request crosses", lambda: VM_ANSWER in stage.quietly("client", f"{CURL} nginx.jd.com"), within=30
    )
    print(f"{time.monotonic() - began:.1f} s until a request crosses the mesh")
    before = asked(stage)
    stage.until("some are asked through Envoy", lambda: asked(stage) > before + 20, within=30)
    stage.type("vm", "touch /tmp/enough")
    process.wait(timeout=10)
    answers = Counter(stage.quietly("vm", "cat /tmp/answers").split())
    print(f"{sum(answers.values())} requests of the machine's own program: {dict(answers)}")
    assert set(answers) == {"200"}


def asked(stage: Stage) -> int:
    return int(stage.quietly("vm", "wc -l </tmp/answers").strip() or 0)


def test_a_wrong_token_on_a_machine_that_has_a_certificate_costs_nothing(stage: Stage) -> None:
    """The certificate that is there renews itself."""
    vm, token = stage.lab.host("vm"), "/var/run/secrets/tokens/istio-token"
    right, before = vm.read(token), serial(stage, "vm")
    asking = ask(stage)
    vm.write(token, right.rstrip()[:-8] + "AAAAAAAA", mode=0o600, owner="istio-proxy")
    stage.until("it renews", partial(renewed, stage, "vm", before), within=LIFETIME * 2)
    print(f"status: {status(stage)['trouble']}")
    vm.write(token, right, mode=0o600, owner="istio-proxy")
    assert lost(asking) == 0
