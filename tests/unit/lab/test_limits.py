"""What is not modelled is said, document by document: nothing that looks as if it worked stays silent."""

import pytest
import yaml

from lab.controlplane import type_urls
from lab.controlplane.mesh import Mesh
from lab.controlplane.registry import World
from lab.controlplane.resources import parse, read
from lab.controlplane.snapshot import build
from tests.unit.lab.served import client, endpoints, entry, resource, routes, rule, service, virtual_service

SECURITY = "security.istio.io/v1"
TLS = {"number": 443, "name": "https", "protocol": "HTTPS"}


def gateway(tls: dict[str, str]) -> str:
    return resource("Gateway", "a", {"servers": [{"port": TLS, "hosts": ["*"], "tls": tls}]})


def balanced(**setting: object) -> str:
    return rule("a.example", trafficPolicy={"loadBalancer": {"localityLbSetting": setting}})


@pytest.mark.parametrize(
    ("document", "told"),
    [
        (
            resource("Sidecar", "a", {}),
            "Sidecar a (networking.istio.io/v1) is set aside: it is not served here",
        ),
        (resource("EnvoyFilter", "a", {}, version="networking.istio.io/v1alpha3"), "EnvoyFilter a"),
        (resource("AuthorizationPolicy", "a", {}, version=SECURITY), "AuthorizationPolicy a"),
        (resource("RequestAuthentication", "a", {}, version=SECURITY), "RequestAuthentication a"),
        (resource("Telemetry", "a", {}, version="telemetry.istio.io/v1"), "Telemetry a"),
        (
            virtual_service("a.example", http=[{"delegate": {"name": "b"}}]),
            "spec.http[0].delegate is not served",
        ),
        (balanced(failoverPriority=["topology.istio.io/network"]), "failoverPriority is not served"),
        (
            gateway({"mode": "SIMPLE", "credentialName": "b"}),
            "spec.servers[0].tls.credentialName is 'b': proxies ask for the Secret, and nobody here has it",
        ),
        (
            rule("a.example", trafficPolicy={"tls": {"mode": "SIMPLE", "credentialName": "b"}}),
            "tls.credentialName is 'b': proxies ask for the Secret",
        ),
        (
            service("a", {"port": 80}, type="ExternalName", externalName="b.example"),
            "nothing is made of an alias",
        ),
        (
            service("a", {"port": 80}, clusterIP="10.8.8.8", clusterIPs=["10.8.8.8", "fd00::8"]),
            "two families",
        ),
        (
            resource("WorkloadEntry", "a", {"address": "10.1.1.1", "network": "b"}),
            "spec.network is 'b': there is",
        ),
        (
            resource("WorkloadGroup", "a", {"template": {"network": "b"}}),
            "spec.template.network is 'b': there is",
        ),
        (
            entry("a.example", "80/HTTP", endpoints=[{"address": "10.1.1.1", "network": "b"}]),
            "spec.endpoints[0].network is 'b': there is one network here",
        ),
        (
            yaml.safe_dump(
                {
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "metadata": {"name": "istio"},
                    "data": {"meshNetworks": "networks: {b: {}}\n"},
                }
            ),
            "data.meshNetworks is not served",
        ),
    ],
)
def test_what_is_accepted_and_not_modelled_is_a_warning(document: str, told: str) -> None:
    parsed = read(document, file="mesh.yaml")
    assert not parsed.refused
    assert any(told in line for line in parsed.warnings), parsed.warnings
    assert all(line.startswith("mesh.yaml, document 1: ") for line in parsed.warnings)


@pytest.mark.parametrize(
    ("document", "told"),
    [
        (gateway({"mode": "AUTO_PASSTHROUGH"}), "is 'AUTO_PASSTHROUGH': write one of"),
        (
            entry("a.example", "80/HTTP", resolution="DYNAMIC_DNS"),
            "spec.resolution is 'DYNAMIC_DNS': write one of",
        ),
    ],
)
def test_what_would_be_wrong_without_it_is_refused(document: str, told: str) -> None:
    (refused,) = read(document, file="mesh.yaml").refused
    assert told in str(refused.why)


def test_what_everybody_writes_is_no_warning() -> None:
    for document in (
        resource("WorkloadGroup", "a", {"template": {"network": "", "serviceAccount": "vm"}}),
        service("a", {"port": 80}, clusterIP="10.8.8.8", clusterIPs=["10.8.8.8"]),
        entry("a.example", "80/HTTP", endpoints=[{"address": "10.1.1.1"}], addresses=["10.9.9.9"]),
        gateway({"mode": "SIMPLE", "credentialName": "builtin://"}),
        balanced(distribute=[{"from": "a/*", "to": {"a/*": 100}}]),
    ):
        assert read(document, file="mesh.yaml").warnings == ()


def test_what_the_page_says_becomes_of_them_is_so() -> None:
    """docs/resources.md: a delegate leaves the service's own route, an alias nothing, and both families
    of a ServiceEntry are told."""
    texts = [
        entry("a.example", "80/HTTP", endpoints=[{"address": "fd00::2"}, {"address": "10.1.1.1"}]),
        virtual_service("a.example", http=[{"delegate": {"name": "b"}}]),
        service("alias", {"port": 80}, type="ExternalName", externalName="b.example"),
        service("two", {"port": 81, "name": "tcp"}, clusterIP="10.8.8.8", clusterIPs=["10.8.8.8", "fd00::8"]),
    ]
    world = World.of(parse("---\n".join(texts), file="mesh.yaml").resources)
    snapshot = build(world, client(), Mesh())
    (only,) = routes(snapshot, "80", "a.example:80")
    assert only["route"]["cluster"] == "outbound|80||a.example"
    assert endpoints(snapshot, "outbound|80||a.example") == ["fd00::2:80", "10.1.1.1:80"]
    assert not any("alias" in name for name in snapshot.of(type_urls.CLUSTER))
    listeners = [name for name in snapshot.of(type_urls.LISTENER) if name.endswith("_81")]
    assert listeners == ["10.8.8.8_81"]
    other = build(world, client(INSTANCE_IPS="fd00::30"), Mesh())
    assert [name for name in other.of(type_urls.LISTENER) if name.endswith("_81")] == ["fd00::8_81"]
