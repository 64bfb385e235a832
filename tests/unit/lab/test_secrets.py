"""Certificates that lie in a Secret: proxies are told to ask their control plane for it.

Expectations are those of istio/istio: pilot/pkg/security/model/authentication.go, core/cluster_tls.go.
"""

from typing import Any

from lab.controlplane import type_urls
from lab.controlplane.proxy import Proxy
from lab.controlplane.resources import read
from tests.unit.lab import story
from tests.unit.lab.recorded import Json
from tests.unit.lab.served import entry, resource, rule, said, to, virtual_service

A = "outbound|443||a.test"
LABELS = {"istio": "front"}


def router() -> Proxy:
    node = story.node(ip="192.168.0.80", name="front")
    node.id = node.id.replace("sidecar~", "router~")
    node.metadata.update({"LABELS": LABELS})
    return Proxy.parse(node)


def opened(**tls: Any) -> Json:
    """The TLS of a server of a Gateway."""
    server = {"port": {"number": 8443, "name": "https", "protocol": "HTTPS"}, "hosts": ["a.test"], "tls": tls}
    way = virtual_service("a.test", gateways=["front"], http=[{"route": [to("a.test")]}])
    gateway = resource("Gateway", "front", {"selector": LABELS, "servers": [server]})
    snapshot = story.told(router(), gateway, way, entry("a.test", "80/HTTP"))
    (chain,) = said(snapshot, type_urls.LISTENER, "0.0.0.0_8443")["filter_chains"]
    context: Json = chain["transport_socket"]["typed_config"]["common_tls_context"]
    return context


def asked(secret: Json) -> str:
    """Its name, and of whom."""
    return f"{secret['name']} {' '.join(sorted(secret['sds_config']))}"


def test_a_gateway_has_its_certificate_and_its_clients_ca_from_one_secret() -> None:
    simple = opened(mode="SIMPLE", credentialName="front-cert")
    (certificate,) = simple["tls_certificate_sds_secret_configs"]
    assert asked(certificate) == "kubernetes://front-cert ads resource_api_version"
    assert "combined_validation_context" not in simple
    mutual = opened(mode="MUTUAL", credentialName="front-cert", subjectAltNames=["b.test"])
    validation = mutual["combined_validation_context"]
    root = validation["validation_context_sds_secret_config"]
    assert asked(root) == "kubernetes://front-cert-cacert ads resource_api_version"
    assert validation["default_validation_context"]["match_subject_alt_names"] == [{"exact": "b.test"}]


def test_a_gateway_may_have_a_certificate_of_each_kind_or_the_meshs() -> None:
    both = opened(mode="SIMPLE", credentialNames=["rsa", "ecdsa"])["tls_certificate_sds_secret_configs"]
    assert [each["name"] for each in both] == ["kubernetes://rsa", "kubernetes://ecdsa"]
    (own,) = opened(mode="SIMPLE", credentialName="builtin://")["tls_certificate_sds_secret_configs"]
    assert own["name"] == "default"


def called(proxy: Proxy, **spec: Any) -> Json:
    tls = {"mode": "MUTUAL", "credentialName": "client-cert", "sni": "a.test"}
    policy = rule("a.test", trafficPolicy={"tls": tls}, **spec)
    document = entry("a.test", "443/TLS", endpoints=[{"address": "10.1.0.1"}])
    return said(story.told(proxy, document, policy), type_urls.CLUSTER, A)


def test_a_router_begins_tls_with_a_secret_and_a_sidecar_only_where_the_rule_means_it_by_label() -> None:
    context = called(router())["transport_socket"]["typed_config"]["common_tls_context"]
    (certificate,) = context["tls_certificate_sds_secret_configs"]
    assert asked(certificate) == "kubernetes://client-cert ads resource_api_version"
    root = context["combined_validation_context"]["validation_context_sds_secret_config"]
    assert asked(root) == "kubernetes://client-cert-cacert ads resource_api_version"
    plain = called(story.CLIENT)
    assert "transport_socket" not in plain
    assert "typed_extension_protocol_options" not in plain
    node = story.node(ip="192.168.0.30", name="client")
    node.metadata.update({"LABELS": {"app": "client"}})
    meant = called(Proxy.parse(node), workloadSelector={"matchLabels": {"app": "client"}})
    assert meant["transport_socket"]["typed_config"]["sni"] == "a.test"


def test_a_secret_beside_files_is_refused() -> None:
    """istio/istio: pkg/config/validation/validation.go, validateTLS."""
    tls = {"mode": "SIMPLE", "credentialName": "b", "caCertificates": "/etc/ca.pem"}
    (refused,) = read(rule("a.test", trafficPolicy={"tls": tls}), file="mesh.yaml").refused
    assert "if credentialName is set" in str(refused.why)
