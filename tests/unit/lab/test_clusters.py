"""How a service is found, and by whom it is served, as istiod decides it."""

from typing import Any

import pytest

from lab.controlplane import type_urls
from tests.unit.lab import story
from tests.unit.lab.served import cluster, endpoints, entry, names, pod, resource, said, service

A = "outbound|80||a.test"


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
    found = cluster(story.told(story.CLIENT, entry("a.test", "80/HTTP", resolution=resolution, **more)), A)
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
    weights = cluster(written, A)["load_assignment"]["endpoints"][0]
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


def test_a_service_without_endpoints_keeps_its_cluster() -> None:
    snapshot = story.told(story.CLIENT, entry("a.test", "80/HTTP"))
    assert endpoints(snapshot, A) == []
    assert cluster(snapshot, A)["type"] == "EDS"
