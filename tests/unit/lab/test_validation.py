"""What is refused: the field, its value and the rule, in istiod's own words where it has some."""

from typing import Any

import pytest
import yaml

from lab.controlplane.resources import read

PORT = {"number": 80, "name": "http", "protocol": "HTTP"}
TO = {"destination": {"host": "a.test"}}
SERVER: dict[str, Any] = {"port": PORT, "hosts": ["*"]}


def complaint(kind: str, spec: Any, version: str = "networking.istio.io/v1", **metadata: Any) -> str:
    """Behind the place; empty for what is accepted."""
    document = {"apiVersion": version, "kind": kind, "metadata": {"name": "x", **metadata}, "spec": spec}
    parsed = read(yaml.safe_dump(document), file="x.yaml")
    assert parsed.warnings == ()
    return "".join(str(each.why).removeprefix("x.yaml, document 1: ") for each in parsed.refused)


def service_entry(**spec: Any) -> str:
    return complaint("ServiceEntry", {"hosts": ["a.test"], "ports": [PORT], "resolution": "STATIC", **spec})


def virtual_service(**spec: Any) -> str:
    return complaint("VirtualService", {"hosts": ["a.test"], **spec})


def route(**http: Any) -> str:
    return virtual_service(http=[http])


def rule(**policy: Any) -> str:
    return complaint("DestinationRule", {"host": "a.test", "trafficPolicy": policy})


def gateway(*servers: dict[str, Any]) -> str:
    return complaint("Gateway", {"servers": list(servers)})


def authentication(**spec: Any) -> str:
    return complaint("PeerAuthentication", spec, "security.istio.io/v1")


def endpoint(resolution: str = "STATIC", **written: Any) -> str:
    return service_entry(resolution=resolution, endpoints=[written])


def test_documents_in_order_are_not_complained_about() -> None:
    assert service_entry(endpoints=[{"address": "10.1.0.1", "ports": {"http": 8080}}]) == ""
    assert route(match=[{"uri": {"regex": "/x.*"}}], route=[TO]) == ""
    assert rule(tls={"mode": "SIMPLE"}, loadBalancer={"consistentHash": {"useSourceIp": True}}) == ""
    assert gateway(SERVER) == ""
    assert authentication(mtls={"mode": "STRICT"}) == ""
    assert complaint("WorkloadEntry", {"address": "10.1.0.1"}) == ""


TWO = [PORT, {**PORT, "name": "more"}]

SERVICE_ENTRIES = [
    (service_entry(hosts=[]), "spec.hosts is []: service entry must have at least one host"),
    (service_entry(hosts=["*"]), "spec.hosts[0] is '*': invalid host *: a full wildcard is not allowed"),
    (service_entry(hosts=["a_b.*"]), "spec.hosts[0] is 'a_b.*': "),
    (
        service_entry(hosts=["*.a.test"], resolution="DNS"),
        "spec.hosts[0] is '*.a.test': hosts must be FQDN if no",
    ),
    (service_entry(addresses=["10.1"]), "spec.addresses[0] is '10.1': write an IP address or a range"),
    (
        service_entry(addresses=["10.1.0.0/16"], resolution="DNS"),
        "spec.addresses[0] is '10.1.0.0/16': CIDR addresses are allowed only for NONE/STATIC",
    ),
    (
        service_entry(ports=[{**PORT, "number": 0}]),
        "spec.ports[0].number is 0: write a whole number from 1 to",
    ),
    (service_entry(ports=[{**PORT, "number": "80"}]), "spec.ports[0].number is '80': write a whole number"),
    (service_entry(ports=[{**PORT, "name": "A_b"}]), "spec.ports[0].name is 'A_b': write lower-case letters"),
    (
        service_entry(ports=[{**PORT, "protocol": "SMTP"}]),
        "spec.ports[0].protocol is 'SMTP': unsupported protocol",
    ),
    (service_entry(ports=TWO), "spec.ports[1].number is 80: service entry port already defined"),
    (
        service_entry(ports=[PORT, PORT]),
        "spec.ports[1].name is 'http': service entry port name already defined",
    ),
    (
        service_entry(resolution="DSN"),
        "spec.resolution is 'DSN': write one of NONE, STATIC, DNS, DNS_ROUND_ROBIN",
    ),
    (
        service_entry(location="OUTSIDE"),
        "spec.location is 'OUTSIDE': write one of MESH_EXTERNAL, MESH_INTERNAL",
    ),
    (
        service_entry(hosts=["a.test", "b.test"], ports=[{**PORT, "protocol": "TCP"}]),
        "spec.hosts is ['a.test', 'b.test']: multiple hosts provided with non-HTTP, non-TLS ports",
    ),
    (
        service_entry(workloadSelector={"labels": {"a": "b"}}, endpoints=[{"address": "10.1.0.1"}]),
        "spec.endpoints is [{'address': '10.1.0.1'}]: only one of WorkloadSelector or Endpoints is allowed",
    ),
    (
        service_entry(exportTo=["*", "."]),
        "spec.exportTo is ['*', '.']: exportTo must not hold other entries beside *",
    ),
    (service_entry(exportTo=["a", "a"]), "spec.exportTo[1] is 'a': duplicate entry in exportTo"),
    (
        endpoint("NONE", address="10.1.0.1"),
        "spec.endpoints is [{'address': '10.1.0.1'}]: no endpoints should be",
    ),
    (endpoint(address="a.test"), "spec.endpoints[0].address is 'a.test': write an IP address"),
    (
        endpoint("DNS", address="a_b"),
        "spec.endpoints[0].address is 'a_b': endpoint address is not a valid FQDN",
    ),
    (
        endpoint(address="10.1.0.1", ports={"x": 1}),
        "spec.endpoints[0].ports is {'x': 1}: endpoint port 1 is not defined",
    ),
    (
        endpoint(address="unix://a"),
        "spec.endpoints[0].address is 'unix://a': unix address must be an absolute path",
    ),
    (
        endpoint("DNS", address="unix:///a"),
        "spec.endpoints[0].address is 'unix:///a': unix addresses need resolution",
    ),
    (
        endpoint(address="unix:///a", ports={"http": 1}),
        "spec.endpoints[0].ports is {'http': 1}: unix endpoint must not",
    ),
    (
        service_entry(resolution="DNS_ROUND_ROBIN", endpoints=[{"address": "a.test"}, {"address": "b.test"}]),
        "spec.endpoints is [{'address': 'a.test'}, {'address': 'b.test'}]: there must only be 0 or",
    ),
]

VIRTUAL_SERVICES = [
    (
        virtual_service(hosts=[], http=[{"route": [TO]}]),
        "spec.hosts is []: virtual service must have at least one host",
    ),
    (
        virtual_service(),
        "spec is {'hosts': ['a.test']}: http, tcp or tls must be provided in virtual service",
    ),
    (
        virtual_service(hosts=["*"], http=[{"route": [TO]}]),
        "spec.hosts[0] is '*': wildcard host * is not allowed",
    ),
    (
        virtual_service(hosts=["*.test", "a.test"], http=[{"route": [TO]}]),
        "spec.hosts is ['*.test', 'a.test']: duplicate hosts in virtual service: *.test and a.test overlap",
    ),
    (
        virtual_service(gateways=["a/"], http=[{"route": [TO]}]),
        "spec.gateways[0] is 'a/': config namespace and gateway",
    ),
    (route(), "spec.http[0].route is nothing: HTTP route, redirect or direct_response is required"),
    (route(route=[{}]), "spec.http[0].route[0].destination is nothing: destination is required"),
    (
        route(route=[{"destination": {"host": "*"}}]),
        "spec.http[0].route[0].destination.host is '*': invalid destination",
    ),
    (
        route(route=[{**TO, "weight": -1}]),
        "spec.http[0].route[0].weight is -1: write a whole number from 0 to",
    ),
    (
        route(route=[{**TO, "weight": 0}, {**TO, "weight": 0}]),
        "spec.http[0].route is [{'destination': {'host': 'a.test'}, 'weight': 0}, ",
    ),
    (
        route(route=[TO], redirect={"uri": "/x"}),
        "spec.http[0].route is [{'destination': {'host': 'a.test'}}]: HTTP route cannot contain both",
    ),
    (
        route(redirect={}),
        "spec.http[0].redirect is {}: redirect must specify URI, authority, scheme, or port",
    ),
    (
        route(redirect={"uri": "/x", "redirectCode": 404}),
        "spec.http[0].redirect.redirectCode is 404: is not a valid",
    ),
    (route(rewrite={}, route=[TO]), "spec.http[0].rewrite is {}: rewrite must specify at least one of URI"),
    (route(timeout="3", route=[TO]), "spec.http[0].timeout is '3': write a duration like 5s"),
    (route(timeout="0.5ms", route=[TO]), "spec.http[0].timeout is '0.5ms': must be at least 1ms"),
    (
        route(retries={"retryOn": "boredom"}, route=[TO]),
        "spec.http[0].retries.retryOn is 'boredom': 'boredom' is not a",
    ),
    (
        route(fault={}, route=[TO]),
        "spec.http[0].fault is {}: HTTP fault injection must have an abort and/or a delay",
    ),
    (
        route(fault={"abort": {"httpStatus": 700}}, route=[TO]),
        "spec.http[0].fault.abort.httpStatus is 700: write a whole number from 200 to 600",
    ),
    (
        route(match=[{"uri": {"exact": "/a", "prefix": "/b"}}], route=[TO]),
        "spec.http[0].match[0].uri is {'exact': '/a', 'prefix': '/b'}: write one of exact, prefix, regex",
    ),
    (route(match=[{"uri": {"regex": "("}}], route=[TO]), "spec.http[0].match[0].uri.regex is '(': "),
    (route(match=[{"port": 70000}], route=[TO]), "spec.http[0].match[0].port is 70000: write a whole number"),
    (
        virtual_service(tls=[{"route": [TO]}]),
        "spec.tls[0].match is nothing: TLS route must have at least one match",
    ),
    (
        virtual_service(tls=[{"match": [{"port": 443}], "route": [TO]}]),
        "spec.tls[0].match[0].sniHosts is nothing: TLS match must have at least one SNI host",
    ),
    (
        virtual_service(tls=[{"match": [{"sniHosts": ["b.test"]}], "route": [TO]}]),
        "spec.tls[0].match[0].sniHosts[0] is 'b.test': SNI host is not a compatible subset",
    ),
    (virtual_service(tcp=[{"match": [{"port": 1}]}]), "spec.tcp[0].route is nothing: TCP route is required"),
    (
        virtual_service(tcp=[{"match": [{"destinationSubnets": ["10.1"]}], "route": [TO]}]),
        "spec.tcp[0].match[0].destinationSubnets[0] is '10.1': write an IP address or a range",
    ),
]

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
        gateway({**SERVER, "port": {**PORT, "protocol": "UDP"}}),
        "spec.servers[0].port.protocol is 'UDP': invalid protocol",
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


@pytest.mark.parametrize(
    ("said", "expected"),
    [*SERVICE_ENTRIES, *VIRTUAL_SERVICES, *RULES, *GATEWAYS, *OTHERS],
    ids=lambda each: each[:60],
)
def test_a_document_is_refused_with_field_value_and_rule(said: str, expected: str) -> None:
    assert said.startswith(expected), said
