"""What DestinationRules make of the way a service is spoken to, as istiod decides it."""

from typing import Any

from lab.controlplane.proxy import Proxy
from tests.unit.lab import story
from tests.unit.lab.recorded import Json
from tests.unit.lab.served import cluster, endpoints, entry, rule

A = "outbound|80||a.test"
STATIC = entry("a.test", "80/HTTP", endpoints=[{"address": "10.1.0.1", "labels": {"version": "v1"}}])


def ruled(policy: dict[str, Any], document: str = STATIC) -> Json:
    return cluster(story.told(story.CLIENT, document, rule("a.test", trafficPolicy=policy)), A)


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
    assert cluster(snapshot, A)["connect_timeout"] == "5s"
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
        cluster(story.told(story.CLIENT, STATIC), A),
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
    assert cluster(story.told(story.CLIENT, document, *rules), A)["lb_policy"] == "RANDOM"
    assert "lb_policy" not in cluster(story.told(story.CLIENT, document, *rules[1:]), A)
    assert cluster(story.told(story.CLIENT, document, *rules[2:]), A)["type"] == "ORIGINAL_DST"


def test_a_rule_for_a_wildcard_counts_where_no_closer_one_does() -> None:
    wide = rule("*.test", name="wide", trafficPolicy={"loadBalancer": {"simple": "RANDOM"}})
    close = rule("a.test", name="close", trafficPolicy={"loadBalancer": {"simple": "ROUND_ROBIN"}})
    other = entry("b.test", "80/HTTP", resolution="DNS")
    snapshot = story.told(story.CLIENT, STATIC, other, wide, close)
    assert "lb_policy" not in cluster(snapshot, A)
    assert cluster(snapshot, "outbound|80||b.test")["lb_policy"] == "RANDOM"


def test_in_the_root_namespace_the_rules_for_the_whole_mesh_come_after_the_services_own() -> None:
    """istio/istio: pilot/pkg/model/push_context.go, destinationRule: gateways live in the root namespace."""
    document = entry("a.test", "80/HTTP", namespace="shop", endpoints=[{"address": "10.1.0.1"}])
    gateway = Proxy.parse(story.node(ip="192.168.0.80", name="front", NAMESPACE="istio-system"))

    def policy(namespace: str, how: str, host: str, **spec: Any) -> str:
        balancing = {"loadBalancer": {"simple": how}}
        return rule(
            host, name=how.lower().replace("_", "-"), namespace=namespace, trafficPolicy=balancing, **spec
        )

    whole = policy("istio-system", "RANDOM", "*.test")
    own = policy("shop", "PASSTHROUGH", "a.test")
    assert cluster(story.told(gateway, document, whole), A)["lb_policy"] == "RANDOM"
    assert cluster(story.told(gateway, document, whole, own), A)["type"] == "ORIGINAL_DST"
    private = policy("istio-system", "ROUND_ROBIN", "a.test", exportTo=["."])
    assert "lb_policy" not in cluster(story.told(gateway, document, whole, own, private), A)
    # A private rule of elsewhere hides no wider one that is shown.
    hidden = policy("shop", "RANDOM", "a.test", exportTo=["."])
    wide = policy("shop", "PASSTHROUGH", "*.test")
    assert cluster(story.told(story.CLIENT, document, hidden, wide), A)["type"] == "ORIGINAL_DST"
