"""How a service is spoken to, and by whom it is served, as istiod decides it."""

from typing import Any

import pytest

from lab.controlplane import type_urls
from lab.controlplane.snapshot import Snapshot
from tests.unit.lab import story
from tests.unit.lab.recorded import Json
from tests.unit.lab.served import endpoints, entry, names, pod, resource, rule, said, service

A = "outbound|80||a.test"
STATIC = entry("a.test", "80/HTTP", endpoints=[{"address": "10.1.0.1", "labels": {"version": "v1"}}])


def cluster(snapshot: Snapshot, name: str = A) -> Json:
    return said(snapshot, type_urls.CLUSTER, name)


def ruled(policy: dict[str, Any], document: str = STATIC) -> Json:
    return cluster(story.told(story.CLIENT, document, rule("a.test", trafficPolicy=policy)))


@pytest.mark.parametrize(
    ("resolution", "more", "kind", "balancing"),
    [
        ("STATIC", {"endpoints": [{"address": "10.1.0.1"}]}, "EDS", "LEAST_REQUEST"),
        ("DNS", {}, "STRICT_DNS", "LEAST_REQUEST"),
        ("DNS_ROUND_ROBIN", {}, "LOGICAL_DNS", "LEAST_REQUEST"),
        ("NONE", {}, "ORIGINAL_DST", "CLUSTER_PROVIDED"),
    ],
)
def test_a_resolution_says_how_endpoints_are_found(
    resolution: str, more: dict[str, Any], kind: str, balancing: str
) -> None:
    found = cluster(story.told(story.CLIENT, entry("a.test", "80/HTTP", resolution=resolution, **more)))
    assert (found["type"], found["lb_policy"]) == (kind, balancing)


def test_an_entry_that_resolves_names_resolves_its_endpoints_or_else_its_host() -> None:
    own = story.told(story.CLIENT, entry("a.test", "80/HTTP", resolution="DNS"))
    assert endpoints(own, A) == ["a.test:80"]
    ports = {"port-80": 8080}
    others = [
        {"address": "b.test"},
        {"address": "c.test", "ports": ports},
        {"address": "10.1.0.1", "weight": 3},
    ]
    written = story.told(story.CLIENT, entry("a.test", "80/HTTP", resolution="DNS", endpoints=others))
    assert endpoints(written, A) == ["b.test:80", "c.test:8080", "10.1.0.1:80"]
    weights = cluster(written)["load_assignment"]["endpoints"][0]
    assert [each["load_balancing_weight"] for each in weights["lb_endpoints"]] == [1, 1, 3]
    assert weights["load_balancing_weight"] == 5


def test_a_port_has_a_target_an_endpoint_may_have_another_and_a_socket_has_none() -> None:
    document = resource(
        "ServiceEntry",
        "a",
        {
            "hosts": ["a.test"],
            "ports": [{"number": 80, "name": "http", "protocol": "HTTP", "targetPort": 8080}],
            "resolution": "STATIC",
            "endpoints": [
                {"address": "10.1.0.1"},
                {"address": "10.1.0.2", "ports": {"http": 9090}},
                {"address": "unix:///run/a.sock"},
            ],
        },
    )
    assert endpoints(story.told(story.CLIENT, document), A) == [
        "10.1.0.1:8080",
        "10.1.0.2:9090",
        "/run/a.sock",
    ]


def test_endpoints_stand_in_the_group_of_their_locality() -> None:
    places = [("10.1.0.1", "eu/a"), ("10.1.0.2", "eu/b/rack"), ("10.1.0.3", "eu/a")]
    document = entry(
        "a.test", "80/HTTP", endpoints=[{"address": ip, "locality": where} for ip, where in places]
    )
    groups = said(story.told(story.CLIENT, document), type_urls.ENDPOINT, A)["endpoints"]
    assert [(each["locality"], len(each["lb_endpoints"])) for each in groups] == [
        ({"region": "eu", "zone": "a"}, 2),
        ({"region": "eu", "zone": "b", "sub_zone": "rack"}, 1),
    ]


def test_workloads_and_pods_stand_behind_an_entry_that_selects_them_in_its_own_namespace() -> None:
    document = entry("a.test", "80/HTTP", workloadSelector={"labels": {"app": "a"}})
    there = resource("WorkloadEntry", "vm", {"address": "10.1.0.1", "labels": {"app": "a"}})
    other = resource("WorkloadEntry", "other", {"address": "10.1.0.2", "labels": {"app": "b"}})
    away = resource(
        "WorkloadEntry", "vm", {"address": "10.1.0.3", "labels": {"app": "a"}}, namespace="elsewhere"
    )
    snapshot = story.told(
        story.CLIENT, document, there, other, away, pod("p", "10.1.0.4", labels={"app": "a", "more": "x"})
    )
    assert endpoints(snapshot, A) == ["10.1.0.1:80", "10.1.0.4:80"]


def test_a_service_of_kubernetes_is_served_by_its_slices_on_named_ports() -> None:
    slice_ = """
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: web-1, namespace: istio-demo, labels: {kubernetes.io/service-name: web}}
addressType: IPv4
endpoints:
- {addresses: [10.1.0.1], conditions: {ready: true}}
- {addresses: [10.1.0.2], conditions: {ready: false}}
ports: [{name: http, port: 8080}, {name: admin, port: 9090}]
"""
    snapshot = story.told(
        story.CLIENT,
        service("web", {"name": "http", "port": 80}, {"name": "admin", "port": 81}, clusterIP="10.96.0.1"),
        slice_,
    )
    host = "web.istio-demo.svc.cluster.local"
    assert endpoints(snapshot, f"outbound|80||{host}") == ["10.1.0.1:8080"]
    assert endpoints(snapshot, f"outbound|81||{host}") == ["10.1.0.1:9090"]
    assert names(snapshot) == {host: ["10.96.0.1"]}


def test_a_host_in_two_documents_of_a_namespace_is_one_service_with_the_ports_and_endpoints_of_both() -> None:
    one = entry("a.test", "80/HTTP", name="one", endpoints=[{"address": "10.1.0.1"}])
    two = entry("a.test", "80/HTTP", "81/HTTP", name="two", endpoints=[{"address": "10.1.0.2"}])
    snapshot = story.told(story.CLIENT, one, two)
    assert endpoints(snapshot, A) == ["10.1.0.1:80", "10.1.0.2:80"]
    assert endpoints(snapshot, "outbound|81||a.test") == ["10.1.0.2:81"]


def test_a_host_in_two_namespaces_is_the_own_ones_and_else_the_older_ones() -> None:
    own = entry("a.test", "80/HTTP", endpoints=[{"address": "10.1.0.1"}], created="2022-01-01T00:00:00Z")
    far = [
        entry("a.test", "80/HTTP", namespace=each, endpoints=[{"address": ip}], created=when)
        for each, ip, when in (
            ("x", "10.1.0.2", "2021-02-01T00:00:00Z"),
            ("y", "10.1.0.3", "2021-01-01T00:00:00Z"),
        )
    ]
    assert endpoints(story.told(story.CLIENT, *far, own), A) == ["10.1.0.1:80"]
    assert endpoints(story.told(story.CLIENT, *far), A) == ["10.1.0.3:80"]


def test_a_host_that_is_a_service_of_kubernetes_cannot_be_taken_by_an_entry() -> None:
    host = "web.elsewhere.svc.cluster.local"
    squatter = entry(host, "80/HTTP", resolution="DNS", namespace="x", created="2020-01-01T00:00:00Z")
    real = service("web", {"name": "http", "port": 80}, clusterIP="10.96.0.1", namespace="elsewhere")
    assert cluster(story.told(story.CLIENT, squatter, real), f"outbound|80||{host}")["type"] == "EDS"


def test_a_service_is_told_to_those_it_is_shown_to() -> None:
    shown = {"*": True, ".": False, "istio-demo": True, "elsewhere": False}
    for to_whom, told in shown.items():
        document = entry("a.test", "80/HTTP", resolution="DNS", namespace="shop", exportTo=[to_whom])
        assert (A in story.told(story.CLIENT, document).of(type_urls.CLUSTER)) is told, to_whom
    annotated = service("web", {"name": "http", "port": 80}, clusterIP="10.96.0.1", namespace="shop").replace(
        "metadata:\n", 'metadata:\n  annotations: {networking.istio.io/exportTo: "."}\n'
    )
    assert "outbound|80||web.shop.svc.cluster.local" not in story.told(story.CLIENT, annotated).of(
        type_urls.CLUSTER
    )


def test_a_subset_is_a_cluster_with_the_endpoints_of_its_labels_and_its_own_policy_over_the_rules() -> None:
    document = entry(
        "a.test",
        "80/HTTP",
        endpoints=[
            {"address": "10.1.0.1", "labels": {"version": "v1"}},
            {"address": "10.1.0.2", "labels": {"version": "v2"}},
        ],
    )
    ways = rule(
        "a.test",
        trafficPolicy={"loadBalancer": {"simple": "RANDOM"}},
        subsets=[
            {"name": "v1", "labels": {"version": "v1"}},
            {
                "name": "v2",
                "labels": {"version": "v2"},
                "trafficPolicy": {"loadBalancer": {"simple": "ROUND_ROBIN"}},
            },
        ],
    )
    snapshot = story.told(story.CLIENT, document, ways)
    assert endpoints(snapshot, "outbound|80|v1|a.test") == ["10.1.0.1:80"]
    assert endpoints(snapshot, "outbound|80|v2|a.test") == ["10.1.0.2:80"]
    assert len(endpoints(snapshot, A)) == 2
    assert cluster(snapshot, "outbound|80|v1|a.test")["lb_policy"] == "RANDOM"
    # ROUND_ROBIN is Envoy's default, which is not written.
    assert "lb_policy" not in cluster(snapshot, "outbound|80|v2|a.test")


def test_limits_and_ejection_are_handed_on() -> None:
    found = ruled(
        {
            "connectionPool": {
                "tcp": {
                    "maxConnections": 7,
                    "connectTimeout": "2s",
                    "tcpKeepalive": {"time": "60s", "probes": 3},
                },
                "http": {
                    "http1MaxPendingRequests": 5,
                    "http2MaxRequests": 6,
                    "maxRetries": 2,
                    "idleTimeout": "9s",
                },
            },
            "outlierDetection": {
                "consecutive5xxErrors": 3,
                "interval": "5s",
                "baseEjectionTime": "30s",
                "maxEjectionPercent": 50,
            },
        }
    )
    (limits,) = found["circuit_breakers"]["thresholds"]
    assert [
        limits[each] for each in ("max_connections", "max_pending_requests", "max_requests", "max_retries")
    ] == [
        *(7, 5, 6, 2),
    ]
    assert found["connect_timeout"] == "2s"
    assert found["upstream_connection_options"]["tcp_keepalive"]["keepalive_time"] == 60
    outlier = found["outlier_detection"]
    assert (outlier["consecutive_5xx"], outlier["interval"], outlier["base_ejection_time"]) == (
        3,
        "5s",
        "30s",
    )
    assert outlier["max_ejection_percent"] == 50


def test_one_port_may_have_a_policy_of_its_own() -> None:
    document = entry("a.test", "80/HTTP", "81/HTTP", endpoints=[{"address": "10.1.0.1"}])
    ports = [{"port": {"number": 81}, "connectionPool": {"tcp": {"connectTimeout": "1s"}}}]
    both = rule(
        "a.test",
        trafficPolicy={"connectionPool": {"tcp": {"connectTimeout": "5s"}}, "portLevelSettings": ports},
    )
    snapshot = story.told(story.CLIENT, document, both)
    assert cluster(snapshot)["connect_timeout"] == "5s"
    assert cluster(snapshot, "outbound|81||a.test")["connect_timeout"] == "1s"


def tls(settings: dict[str, Any], document: str = STATIC) -> Json:
    return ruled({"tls": settings}, document)


def test_tls_may_be_plain_begun_here_or_mutual_with_files() -> None:
    assert "transport_socket" not in tls({"mode": "DISABLE"})
    simple = tls({"mode": "SIMPLE", "sni": "b.test", "caCertificates": "/etc/ca.pem"})["transport_socket"]
    context = simple["typed_config"]
    assert context["sni"] == "b.test"
    validation = context["common_tls_context"]["combined_validation_context"]
    assert validation["validation_context_sds_secret_config"]["name"] == "file-root:/etc/ca.pem"
    files = {"clientCertificate": "/c.pem", "privateKey": "/k.pem", "caCertificates": "/ca.pem"}
    mutual = tls({"mode": "MUTUAL", **files})["transport_socket"]["typed_config"]["common_tls_context"]
    (secret,) = mutual["tls_certificate_sds_secret_configs"]
    assert secret["name"] == "file-cert:/c.pem~/k.pem"


def test_names_that_a_server_must_bear_are_the_rules_or_the_entrys() -> None:
    named = {"mode": "SIMPLE", "caCertificates": "/ca.pem"}
    document = STATIC.replace("spec:\n", "spec:\n  subjectAltNames: [spiffe://entry]\n")
    for settings, expected in (
        ({**named, "subjectAltNames": ["spiffe://rule"]}, "spiffe://rule"),
        (named, "spiffe://entry"),
    ):
        context = tls(settings, document)["transport_socket"]["typed_config"]["common_tls_context"]
        validation = context["combined_validation_context"]["default_validation_context"]
        (matcher,) = validation["match_subject_alt_names"]
        assert matcher == {"exact": expected}


def test_mutual_tls_of_the_mesh_is_offered_where_the_workload_has_it() -> None:
    plain, meshed = (
        cluster(story.told(story.CLIENT, STATIC)),
        story.told(story.CLIENT, story.SERVICE, story.REGISTERED),
    )
    assert "transport_socket_matches" not in plain
    first, second = cluster(meshed, "outbound|80||nginx.jd.com")["transport_socket_matches"]
    assert (first["name"], second["name"]) == ("tlsMode-istio", "tlsMode-disabled")


def test_the_rule_of_the_clients_namespace_comes_before_the_services_and_the_root_namespaces() -> None:
    document = entry("a.test", "80/HTTP", namespace="shop", endpoints=[{"address": "10.1.0.1"}])
    balancing = {"istio-demo": "RANDOM", "shop": "ROUND_ROBIN", "istio-system": "PASSTHROUGH"}
    rules = [
        rule("a.test", namespace=each, trafficPolicy={"loadBalancer": {"simple": how}})
        for each, how in balancing.items()
    ]
    assert cluster(story.told(story.CLIENT, document, *rules))["lb_policy"] == "RANDOM"
    assert "lb_policy" not in cluster(story.told(story.CLIENT, document, *rules[1:]))
    assert cluster(story.told(story.CLIENT, document, *rules[2:]))["type"] == "ORIGINAL_DST"


def test_a_rule_for_a_wildcard_counts_where_no_closer_one_does() -> None:
    wide = rule("*.test", name="wide", trafficPolicy={"loadBalancer": {"simple": "RANDOM"}})
    close = rule("a.test", name="close", trafficPolicy={"loadBalancer": {"simple": "ROUND_ROBIN"}})
    other = entry("b.test", "80/HTTP", resolution="DNS")
    snapshot = story.told(story.CLIENT, STATIC, other, wide, close)
    assert "lb_policy" not in cluster(snapshot)
    assert cluster(snapshot, "outbound|80||b.test")["lb_policy"] == "RANDOM"


def test_a_service_without_endpoints_keeps_its_cluster() -> None:
    snapshot = story.told(story.CLIENT, entry("a.test", "80/HTTP"))
    assert endpoints(snapshot, A) == []
    assert cluster(snapshot)["type"] == "EDS"
