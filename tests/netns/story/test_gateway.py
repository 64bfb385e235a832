"""A gateway on a VM, described to the lab's control plane as its operator would: from outside of the mesh by
TLS that ends at the gateway, and on by mutual TLS to the VM of the story.
"""

import dataclasses
from collections.abc import Iterator
from functools import partial
from typing import Final

import pytest
import yaml
from cryptography import x509

from lab.demo import joining, story
from lab.demo.names import CONFIGURE, CURL, GET_ENTRY, INSTALL, OUTSIDE_ANSWER, VM_ANSWER, VM_NAME
from lab.demo.stage import Stage
from lab.hosts import services
from lab.hosts.cluster import Cluster
from lab.hosts.lab import Lab
from tests.authority import Authority
from tests.staging import staged

HOST: Final = "nginx.jd.com"
HTTPS: Final = f"https://{HOST}:8443/"
ADDRESS: Final = "192.168.0.30"
NAME: Final = "spiffe://cluster.local/ns/istio-demo/sa/front"
CHAIN, KEY, TRUSTED = "/etc/front/chain.pem", "/etc/front/key.pem", "/tmp/trusted.pem"

GROUP: Final = """
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {name: front, namespace: istio-demo}
spec:
  metadata: {labels: {istio: front}}
  template: {serviceAccount: front}
"""

MESH: Final = f"""
apiVersion: v1
kind: ServiceAccount
metadata: {{name: front, namespace: istio-demo}}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{name: default, namespace: istio-demo}}
spec: {{mtls: {{mode: STRICT}}}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {{name: front, namespace: istio-demo}}
spec:
  selector: {{istio: front}}
  servers:
  - port: {{number: 8080, name: http, protocol: HTTP}}
    hosts: ["{HOST}"]
  - port: {{number: 8443, name: https, protocol: HTTPS}}
    hosts: ["{HOST}"]
    tls: {{mode: SIMPLE, serverCertificate: {CHAIN}, privateKey: {KEY}}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: front, namespace: istio-demo}}
spec:
  hosts: ["{HOST}"]
  gateways: [front]
  http:
  - route: [{{destination: {{host: {HOST}, port: {{number: 80}}}}}}]
"""


class Front:
    """The gateway, and somebody outside of the mesh who asks it."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.host = stage.lab.host("client")
        self.authority = Authority()
        """Whom the one outside trusts."""

    def install(self) -> None:
        istiod = self.stage.lab.host("istiod")
        istiod.write("/tmp/front.yaml", GROUP)
        self.stage.type("istiod", f"{CONFIGURE} -f front.yaml -o front")
        self.stage.carry("front", "istiod", "client")
        for command in INSTALL:
            self.stage.type("client", command.format("front"))

    def certified(self, authority: Authority) -> None:
        """Key and chain are written one after the other, as by most tools."""
        key, chain = authority.server(x509.DNSName(HOST))
        self.host.run(["mkdir", "-p", "/etc/front"])
        self.host.write(KEY, key.decode(), mode=0o640)
        self.host.run(["chgrp", "istio-proxy", KEY])
        self.host.write(CHAIN, chain.decode())

    def start(self) -> None:
        unit = services.read_unit(services.AGENT)
        router = dataclasses.replace(unit, command=(*unit.command, "router"))
        self.stage.services["agent@client"] = services.start_unit(self.host, router, log=services.AGENT_LOG)
        self.stage.services["capture@client"] = services.start_capture(self.host)

    def answers(self, url: str) -> bool:
        """Asked from ``outside``, which has no sidecar."""
        self.stage.lab.host("outside").write(TRUSTED, self.authority.root_pem.decode())
        port = url.removesuffix("/").rpartition(":")[2]
        command = f"{CURL} --cacert {TRUSTED} --resolve {HOST}:{port}:{ADDRESS} {url}"
        return self.stage.quietly("outside", command).strip() == VM_ANSWER


@pytest.fixture(scope="module")
def front() -> Iterator[Front]:
    lab = Lab("gateway")
    with staged(lab) as stage:
        story.begin(stage)
        joining.describe(stage)
        joining.join(stage)
        stage.mesh("apply -f serviceentry.yaml")
        stage.services["nginx"] = services.start_application(lab.host("vm"))
        stage.until("healthy", lambda: "status: 'True'" in stage.mesh_quietly(GET_ENTRY), within=10)
        for document in yaml.safe_load_all(MESH):
            Cluster(lab.host("istiod")).apply(document)
        front = Front(stage)
        front.install()
        front.certified(front.authority)
        front.start()
        stage.until(
            "ready", lambda: ", router): ready" in stage.quietly("client", "vmagent status"), within=20
        )
        yield front


def test_a_request_from_outside_reaches_the_vm_through_the_gateway(front: Front) -> None:
    stage = front.stage
    for url in (f"http://{HOST}:8080/", HTTPS):
        stage.until(url, partial(front.answers, url), within=10)

    # The VM takes mutual TLS only, and was told by whom it is asked.
    assert stage.quietly("outside", f"{CURL} http://192.168.0.204/") == ""
    seen = stage.quietly("vm", f"tail -n1 {services.ACCESS_LOG}")
    assert f"URI={NAME}" in seen
    assert f"By={VM_NAME}" in seen


def test_a_gateway_changes_its_certificate_while_it_serves(front: Front) -> None:
    front.stage.until("it serves", partial(front.answers, HTTPS), within=10)
    front.authority = Authority()
    assert not front.answers(HTTPS)
    front.certified(front.authority)
    front.stage.until("the new one is shown", partial(front.answers, HTTPS), within=10)


def test_ports_follow_the_gateway_resource(front: Front) -> None:
    *_, gateway, _ = yaml.safe_load_all(MESH)
    gateway["spec"]["servers"][0]["port"]["number"] = 8081
    Cluster(front.stage.lab.host("istiod")).apply(gateway)
    front.stage.until("the new port", partial(front.answers, f"http://{HOST}:8081/"), within=10)
    listening = "ss -Hlnt 'sport = :8080'"
    front.stage.until("the old one", lambda: front.stage.quietly("client", listening) == "", within=60)


def test_its_own_traffic_stays_its_own(front: Front) -> None:
    stage = front.stage
    stage.until(
        "capture has decided",
        lambda: stage.quietly("client", "cat /run/istio-capture/gates/capture").strip() == "open",
        within=10,
    )
    assert "ISTIO" not in stage.quietly("client", "iptables-save")
    assert stage.quietly("client", f"{CURL} outside.example").strip() == OUTSIDE_ANSWER
