"""What a router opens for the Gateways that mean it, as istiod decides it."""

from typing import Any

import pytest

from lab.controlplane import type_urls
from lab.controlplane.mesh import Mesh
from lab.controlplane.proxy import Proxy
from lab.controlplane.snapshot import Snapshot
from tests.unit.lab import story
from tests.unit.lab.served import (
    entry,
    hosts,
    listener,
    listeners,
    resource,
    routes,
    said,
    to,
    virtual_service,
)

LABELS = {"istio": "front"}
FILES = {"serverCertificate": "/etc/cert.pem", "privateKey": "/etc/key.pem"}


def router(ip: str = "192.168.0.80") -> Proxy:
    node = story.node(ip=ip, name="front")
    node.id = node.id.replace("sidecar~", "router~")
    node.metadata.update({"LABELS": LABELS})
    return Proxy.parse(node)


def gateway(*servers: dict[str, Any], name: str = "front", selector: dict[str, str] = LABELS) -> str:
    return resource("Gateway", name, {"selector": selector, "servers": list(servers)})


def server(port: str, *hosts: str, **tls: Any) -> dict[str, Any]:
    number, protocol = port.split("/")
    made = {"port": {"number": int(number), "name": f"p{number}", "protocol": protocol}, "hosts": list(hosts)}
    return {**made, "tls": tls} if tls else made


def bound(host: str, *, name: str = "way", **spec: Any) -> str:
    return virtual_service(host, name=name, gateways=["front"], **spec)


A = entry("a.test", "80/HTTP", endpoints=[{"address": "10.1.0.1"}])
TO_A = [{"route": [to("a.test", port={"number": 80})]}]


def told(*documents: str) -> Snapshot:
    return story.told(router(), A, *documents)


def test_a_gateway_opens_a_real_port_for_the_hosts_that_are_bound_to_it() -> None:
    snapshot = told(gateway(server("8080/HTTP", "*.test")), bound("a.test", http=TO_A))
    assert listeners(snapshot) == ["0.0.0.0_8080"]
    assert "bind_to_port" not in said(snapshot, type_urls.LISTENER, "0.0.0.0_8080")
    assert listener(snapshot, "0.0.0.0_8080") == ["all -> route http.8080"]
    assert hosts(snapshot, "http.8080") == {"a.test:8080": ["a.test"]}


def test_a_gateway_for_other_routers_opens_nothing() -> None:
    assert listeners(told(gateway(server("8080/HTTP", "*"), selector={"istio": "back"}))) == []


def test_a_port_for_which_nobody_has_routes_answers_not_found() -> None:
    snapshot = told(gateway(server("8080/HTTP", "*")), virtual_service("a.test", http=TO_A))
    assert hosts(snapshot, "http.8080") == {"blackhole:8080": ["*"]}


def test_a_host_that_the_gateway_does_not_admit_is_not_served() -> None:
    for admitted, served in (
        ("*.test", True),
        ("b.test", False),
        ("istio-demo/*", True),
        ("./*", True),
        ("x/*", False),
    ):
        found = hosts(told(gateway(server("8080/HTTP", admitted)), bound("a.test", http=TO_A)), "http.8080")
        assert ("a.test:8080" in found) is served, admitted


def test_tls_ends_at_the_router_with_the_files_it_names_or_goes_through() -> None:
    ends = told(gateway(server("8443/HTTPS", "a.test", mode="SIMPLE", **FILES)), bound("a.test", http=TO_A))
    assert listener(ends, "0.0.0.0_8443") == ["a.test -> route https.8443.p8443.front.istio-demo"]
    (chain,) = said(ends, type_urls.LISTENER, "0.0.0.0_8443")["filter_chains"]
    (secret,) = chain["transport_socket"]["typed_config"]["common_tls_context"][
        "tls_certificate_sds_secret_configs"
    ]
    assert secret["name"] == "file-cert:/etc/cert.pem~/etc/key.pem"
    tls = [{"match": [{"sniHosts": ["a.test"]}], "route": [to("a.test", port={"number": 80})]}]
    through = told(gateway(server("8443/TLS", "a.test", mode="PASSTHROUGH")), bound("a.test", tls=tls))
    assert listener(through, "0.0.0.0_8443") == ["a.test -> outbound|80||a.test"]
    assert "transport_socket" not in said(through, type_urls.LISTENER, "0.0.0.0_8443")["filter_chains"][0]


def test_mutual_tls_demands_a_certificate_of_the_client() -> None:
    files = {**FILES, "caCertificates": "/etc/ca.pem"}
    snapshot = told(
        gateway(server("8443/HTTPS", "a.test", mode="MUTUAL", **files)), bound("a.test", http=TO_A)
    )
    (chain,) = said(snapshot, type_urls.LISTENER, "0.0.0.0_8443")["filter_chains"]
    assert chain["transport_socket"]["typed_config"]["require_client_certificate"] is True


def test_plain_connections_go_where_a_tcp_route_says() -> None:
    tcp = [{"match": [{"port": 9000}], "route": [to("a.test", port={"number": 80})]}]
    snapshot = told(gateway(server("9000/TCP", "*")), bound("a.test", tcp=tcp))
    assert listener(snapshot, "0.0.0.0_9000") == ["all -> outbound|80||a.test"]


def test_two_gateways_share_a_port_for_requests_and_the_second_of_another_kind_is_turned_away() -> None:
    first = gateway(server("8080/HTTP", "a.test"))
    second = gateway(server("8080/HTTP", "b.test"), name="second")
    third = gateway(server("8080/TCP", "*"), name="third")
    ways = (
        bound("a.test", http=TO_A),
        virtual_service("b.test", name="other", gateways=["second"], http=TO_A),
    )
    snapshot = told(first, second, third, *ways)
    assert listener(snapshot, "0.0.0.0_8080") == ["all -> route http.8080"]
    assert hosts(snapshot, "http.8080") == {"a.test:8080": ["a.test"], "b.test:8080": ["b.test"]}


def test_plain_requests_are_sent_on_to_https_where_the_gateway_says_so() -> None:
    redirecting = {**server("8080/HTTP", "a.test"), "tls": {"httpsRedirect": True}}
    snapshot = told(gateway(redirecting), bound("a.test", http=TO_A))
    (host,) = said(snapshot, type_urls.ROUTE, "http.8080")["virtual_hosts"]
    assert host["require_tls"] == "ALL"


def test_a_match_for_one_gateway_counts_there_alone() -> None:
    http = [
        {"match": [{"gateways": ["mesh"]}], "route": [to("sidecars.test")]},
        {"match": [{"gateways": ["front"], "port": 8080}], "route": [to("a.test")]},
    ]
    way = virtual_service("a.test", gateways=["mesh", "front"], http=http)
    snapshot = told(gateway(server("8080/HTTP", "*")), way)
    (only,) = routes(snapshot, "http.8080", "a.test:8080")
    assert only["route"]["cluster"] == "outbound|80||a.test"
    (mesh,) = routes(story.told(story.CLIENT, A, way), "80", "a.test:80")
    assert mesh["route"]["cluster"] == "outbound|80||sidecars.test"


def test_a_router_is_no_workload_of_the_mesh_otherwise() -> None:
    snapshot = told(gateway(server("8080/HTTP", "*")))
    assert "virtualInbound" not in snapshot.of(type_urls.LISTENER)
    assert [each for each in snapshot.of(type_urls.CLUSTER) if each.startswith(("inbound", "Pass"))] == []


@pytest.mark.parametrize("protocol", ["TCP", "MONGO", "MYSQL", "REDIS"])
def test_any_protocol_of_bytes_may_be_opened(protocol: str) -> None:
    """istio/istio: pkg/config/validation/validation.go, validateServerPort."""
    tcp = [{"route": [to("a.test", port={"number": 80})]}]
    snapshot = told(gateway(server(f"9000/{protocol}", "*")), bound("a.test", tcp=tcp))
    assert listener(snapshot, "0.0.0.0_9000") == ["all -> outbound|80||a.test"]


def test_who_ends_the_meshs_tls_for_bytes_exchanges_metadata_first() -> None:
    """istio/istio: core/gateway.go, buildGatewayNetworkFiltersFromTCPRoutes (includeMx for ISTIO_MUTUAL)."""
    tcp = [{"route": [to("a.test", port={"number": 80})]}]
    documents = (
        gateway(server("9443/TLS", "a.test", mode="ISTIO_MUTUAL")),
        bound("a.test", tcp=tcp),
        entry("a.test", "80/HTTP"),
    )
    snapshot = story.told(router(), *documents, mesh=Mesh(istio_filters=True))
    (chain,) = said(snapshot, type_urls.LISTENER, "0.0.0.0_9443")["filter_chains"]
    assert [each["name"] for each in chain["filters"]] == [
        "istio.metadata_exchange",
        "istio.stats",
        "envoy.filters.network.tcp_proxy",
    ]
