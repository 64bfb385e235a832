"""What is refused: the field, its value and the rule, in istiod's own words where it has some."""

from typing import Any

import pytest

from tests.unit.lab.refused import PORT, TO, complaint
from tests.unit.lab.refused.service_entries import SERVICE_ENTRIES, service_entry
from tests.unit.lab.refused.virtual_services import VIRTUAL_SERVICES, route

SERVER: dict[str, Any] = {"port": PORT, "hosts": ["*"]}


def rule(**policy: Any) -> str:
    return complaint("DestinationRule", {"host": "a.test", "trafficPolicy": policy})


def gateway(*servers: dict[str, Any]) -> str:
    return complaint("Gateway", {"servers": list(servers)})


def authentication(**spec: Any) -> str:
    return complaint("PeerAuthentication", spec, "security.istio.io/v1")


RULES = [
    (complaint("DestinationRule", {}), "spec.host is nothing: write a string"),
    (
        complaint("DestinationRule", {"host": "a.test", "subsets": [{"name": "A"}]}),
        "spec.subsets[0].name is 'A': write",
    ),
    (
        complaint("DestinationRule", {"host": "a.test", "subsets": [{"name": "a"}, {"name": "a"}]}),
        "spec.subsets[1].name is 'a': is the name of an earlier subset too",
    ),
    (rule(), "spec.trafficPolicy is {}: traffic policy must have at least one field"),
    (
        rule(tls={"mode": "MUTUAL"}),
        "spec.trafficPolicy.tls.clientCertificate is nothing: client certificate and private",
    ),
    (
        rule(tls={"mode": "ISTIO_MUTUAL", "privateKey": "/k"}),
        "spec.trafficPolicy.tls is {'mode': 'ISTIO_MUTUAL', 'privateKey': '/k'}: cannot specify certificates",
    ),
    (
        rule(tls={"mode": "STRICT"}),
        "spec.trafficPolicy.tls.mode is 'STRICT': write one of DISABLE, SIMPLE, MUTUAL",
    ),
    (rule(loadBalancer={"simple": "FAIR"}), "spec.trafficPolicy.loadBalancer.simple is 'FAIR': write one of"),
    (
        rule(loadBalancer={"consistentHash": {}}),
        "spec.trafficPolicy.loadBalancer.consistentHash is {}: consistent hash must name what is hashed",
    ),
    (
        rule(connectionPool={}),
        "spec.trafficPolicy.connectionPool is {}: connection pool must have at least one field",
    ),
    (
        rule(connectionPool={"tcp": {"connectTimeout": "fast"}}),
        "spec.trafficPolicy.connectionPool.tcp.connectTimeout is 'fast': write a duration",
    ),
    (
        rule(outlierDetection={"maxEjectionPercent": 101}),
        "spec.trafficPolicy.outlierDetection.maxEjectionPercent is 101: write a whole number from 0 to 100",
    ),
]

GATEWAYS = [
    (gateway(), "spec.servers is []: gateway must have at least one server"),
    (
        gateway({**SERVER, "hosts": []}),
        "spec.servers[0].hosts is []: server config must contain at least one host",
    ),
    (gateway(SERVER, SERVER), "spec.servers[1].port.name is 'http': port names in servers must be unique"),
    (
        gateway({**SERVER, "port": {**PORT, "protocol": "SMTP"}}),
        "spec.servers[0].port.protocol is 'SMTP': invalid protocol",
    ),
    (
        gateway({**SERVER, "port": {**PORT, "protocol": "HTTPS"}}),
        "spec.servers[0].tls is nothing: server must have TLS",
    ),
    (
        gateway({**SERVER, "tls": {"mode": "SIMPLE", "serverCertificate": "/c", "privateKey": "/k"}}),
        "spec.servers[0].tls is {'mode': 'SIMPLE', 'privateKey': '/k', 'serverCertificate': '/c'}: server",
    ),
    (
        gateway({"port": {**PORT, "protocol": "TLS"}, "hosts": ["*"], "tls": {"mode": "SIMPLE"}}),
        "spec.servers[0].tls is {'mode': 'SIMPLE'}: SIMPLE TLS requires a server certificate",
    ),
    (
        gateway({**SERVER, "hosts": ["/a.test"]}),
        "spec.servers[0].hosts[0] is '/a.test': write HOST or NAMESPACE/HOST",
    ),
    (
        gateway({"port": {**PORT, "protocol": "TCP"}, "hosts": ["*"], "tls": {"mode": "PASSTHROUGH"}}),
        "spec.servers[0].tls is {'mode': 'PASSTHROUGH'}: server cannot have TLS settings for non",
    ),
    (gateway({**SERVER, "bind": "here"}), "spec.servers[0].bind is 'here': write an IP address"),
]

OTHERS = [
    (authentication(mtls={"mode": "MAYBE"}), "spec.mtls.mode is 'MAYBE': write one of"),
    (
        authentication(mtls={"mode": "STRICT"}, portLevelMtls={80: {"mode": "DISABLE"}}),
        "spec.portLevelMtls is {80: {'mode': 'DISABLE'}}: mTLS port level settings must be used with",
    ),
    (complaint("WorkloadEntry", {}), "spec.address is nothing: address must be set"),
    (
        complaint("WorkloadEntry", {"address": "10.1.0.1"}, name="A b"),
        "metadata.name is 'A b': write lower-case",
    ),
    (
        complaint("WorkloadEntry", {"address": "10.1.0.1"}, namespace="a.b"),
        "metadata.namespace is 'a.b': write lower-case letters, digits and dashes, at most 63",
    ),
    (
        complaint("Service", {"ports": [{"port": 0}]}, "v1"),
        "spec.ports[0].port is 0: write a whole number from 1",
    ),
    (
        complaint("ServiceEntry", [], "networking.istio.io/v1"),
        "spec is []: write a mapping of keys to values",
    ),
    (
        complaint("ServiceEntry", {}, "networking.istio.io/v2"),
        "apiVersion is 'networking.istio.io/v2': write one of",
    ),
]


def test_documents_in_order_are_not_complained_about() -> None:
    assert service_entry(endpoints=[{"address": "10.1.0.1", "ports": {"http": 8080}}]) == ""
    assert route(match=[{"uri": {"regex": "/x.*"}}], route=[TO]) == ""
    assert rule(tls={"mode": "SIMPLE"}, loadBalancer={"consistentHash": {"useSourceIp": True}}) == ""
    assert gateway(SERVER) == ""
    assert authentication(mtls={"mode": "STRICT"}) == ""
    assert complaint("WorkloadEntry", {"address": "10.1.0.1"}) == ""


@pytest.mark.parametrize(
    ("said", "expected"),
    [*SERVICE_ENTRIES, *VIRTUAL_SERVICES, *RULES, *GATEWAYS, *OTHERS],
    ids=lambda each: each[:60],
)
def test_a_document_is_refused_with_field_value_and_rule(said: str, expected: str) -> None:
    assert said.startswith(expected), said
