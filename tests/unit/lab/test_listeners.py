"""What several services on one port come to, as istiod decides it."""

import pytest

from lab.controlplane import type_urls
from lab.controlplane.mesh import Mesh
from tests.unit.lab import story
from tests.unit.lab.served import (
    client,
    entry,
    listener,
    listeners,
    names,
    pod,
    said,
    service,
    to,
    virtual_service,
)

PASS = "all -> PassthroughCluster"
HTTP = "http/1.1 h2c"
SILENT = client(DNS_CAPTURE="false")
"""Told no allocated addresses."""


@pytest.mark.parametrize("protocol", ["HTTP", "HTTP2", "GRPC", "GRPC-WEB"])
def test_a_port_of_requests_is_one_listener_for_all_services_and_lets_other_bytes_through(
    protocol: str,
) -> None:
    snapshot = story.told(
        story.CLIENT,
        entry("a.test", f"8080/{protocol}"),
        entry("b.test", "8080/HTTP", addresses=["10.1.1.1"]),
    )
    assert listeners(snapshot) == ["0.0.0.0_8080"]
    assert listener(snapshot, "0.0.0.0_8080") == [f"{HTTP} -> route 8080", PASS]


@pytest.mark.parametrize("protocol", ["TCP", "TLS", "HTTPS", "MONGO", "MYSQL", "REDIS"])
def test_a_port_of_connections_is_a_listener_on_the_services_address(protocol: str) -> None:
    snapshot = story.told(story.CLIENT, entry("a.test", f"9000/{protocol}", addresses=["10.1.1.1"]))
    assert listeners(snapshot) == ["10.1.1.1_9000"]
    assert listener(snapshot, "10.1.1.1_9000") == ["all -> outbound|9000||a.test"]


def test_only_mongo_is_looked_into() -> None:
    snapshot = story.told(
        story.CLIENT, entry("a.test", "1/MONGO", "2/MYSQL", "3/REDIS", addresses=["10.1.1.1"])
    )
    filters = [
        [
            each["name"].rpartition(".")[2]
            for each in said(snapshot, type_urls.LISTENER, name)["filter_chains"][0]["filters"]
        ]
        for name in listeners(snapshot)
    ]
    assert filters == [["mongo_proxy", "tcp_proxy"], ["tcp_proxy"], ["tcp_proxy"]]


def test_each_address_of_an_entry_is_a_listener_and_the_name_means_all_of_them() -> None:
    snapshot = story.told(
        story.CLIENT, entry("a.test", "9000/TCP", addresses=["10.1.1.1", "10.1.1.2", "10.2.0.0/16"])
    )
    assert listeners(snapshot) == ["10.1.1.1_9000", "10.1.1.2_9000", "0.0.0.0_9000"]
    assert listener(snapshot, "10.1.1.2_9000") == ["all -> outbound|9000||a.test"]
    assert listener(snapshot, "0.0.0.0_9000") == ["10.2.0.0/16 -> outbound|9000||a.test", PASS]
    assert names(snapshot) == {"a.test": ["10.1.1.1", "10.1.1.2"]}


def test_a_range_of_one_address_is_that_address() -> None:
    snapshot = story.told(story.CLIENT, entry("a.test", "9000/TCP", addresses=["10.1.1.1/32"]))
    assert listeners(snapshot) == ["10.1.1.1_9000"]


def test_ranges_of_several_services_share_a_port() -> None:
    snapshot = story.told(
        story.CLIENT,
        entry("a.test", "9000/TCP", addresses=["10.1.0.0/16"]),
        entry("b.test", "9000/TCP", addresses=["10.2.0.0/16"]),
        entry("c.test", "9000/TCP", addresses=["10.1.7.7/16"]),
    )
    assert listener(snapshot, "0.0.0.0_9000") == [
        "10.1.0.0/16 -> outbound|9000||a.test",
        "10.2.0.0/16 -> outbound|9000||b.test",
        PASS,
    ], "c.test takes what a.test takes, and is turned away"


def test_tls_services_without_addresses_are_told_apart_by_the_name_in_the_handshake() -> None:
    snapshot = story.told(
        SILENT, entry("a.test", "443/TLS"), entry("*.b.test", "443/HTTPS", resolution="NONE")
    )
    assert listener(snapshot, "0.0.0.0_443") == [
        "*.b.test -> outbound|443||*.b.test",
        "a.test -> outbound|443||a.test",
        PASS,
    ]
    (inspector,) = said(snapshot, type_urls.LISTENER, "0.0.0.0_443")["listener_filters"]
    assert inspector["name"] == "envoy.filters.listener.tls_inspector"


def test_requests_beside_connections_on_one_port_are_told_apart_by_their_first_bytes() -> None:
    """Whoever comes first."""
    http, tcp = entry("a.test", "9000/HTTP"), entry("b.test", "9000/TCP")
    later = {"created": "2021-05-22T00:00:00Z"}
    for documents in (
        (http, entry("b.test", "9000/TCP", **later)),
        (entry("a.test", "9000/HTTP", **later), tcp),
    ):
        found = listener(story.told(SILENT, *documents), "0.0.0.0_9000")
        assert sorted(found) == sorted([f"{HTTP} -> route 9000", "all -> outbound|9000||b.test"])
        assert found[-1].startswith("all"), "what nothing else takes comes last"


@pytest.mark.parametrize("first", ["MONGO", "MYSQL"])
def test_where_servers_speak_first_nobody_else_is_let_in(first: str) -> None:
    """Waiting for the client's first bytes would wait for ever."""
    early, late = {"created": "2021-05-01T00:00:00Z"}, {"created": "2021-06-01T00:00:00Z"}
    one = story.told(SILENT, entry("a.test", f"9000/{first}", **early), entry("b.test", "9000/HTTP", **late))
    assert listener(one, "0.0.0.0_9000") == ["all -> outbound|9000||a.test"]
    other = story.told(
        SILENT, entry("a.test", f"9000/{first}", **late), entry("b.test", "9000/HTTP", **early)
    )
    assert listener(other, "0.0.0.0_9000") == [f"{HTTP} -> route 9000", PASS]


def test_a_port_nobody_declares_on_an_address_of_its_own_has_a_table_of_its_own() -> None:
    snapshot = story.told(story.CLIENT, entry("a.test", "9000", addresses=["10.1.1.1"]))
    assert listener(snapshot, "10.1.1.1_9000") == [
        f"{HTTP} -> route a.test:9000",
        "all -> outbound|9000||a.test",
    ]
    (host,) = said(snapshot, type_urls.ROUTE, "a.test:9000")["virtual_hosts"]
    assert host["domains"] == ["*"]
    assert host["routes"][0]["route"]["cluster"] == "outbound|9000||a.test"


def test_a_port_nobody_declares_on_every_address_shares_the_ports_table() -> None:
    snapshot = story.told(SILENT, entry("a.test", "9000"), entry("b.test", "9000/HTTP"))
    assert listener(snapshot, "0.0.0.0_9000") == [f"{HTTP} -> route 9000", "all -> outbound|9000||a.test"]
    assert list(snapshot.of(type_urls.ROUTE)) == ["9000"]


def test_connections_of_a_headless_service_go_to_each_pod_and_none_to_oneself() -> None:
    headless = service("db", {"name": "tcp", "port": 5432}, clusterIP="None", selector={"app": "db"})
    pods = [
        pod(f"db-{n}", f"10.1.0.{n}", labels={"app": "db"}, hostname=f"db-{n}", subdomain="db")
        for n in (1, 2)
    ]
    own = pod("client", "192.168.0.30", labels={"app": "db"})
    snapshot = story.told(story.CLIENT, headless, *pods, own)
    assert listeners(snapshot) == ["10.1.0.1_5432", "10.1.0.2_5432"]
    assert names(snapshot) == {
        "db.istio-demo.svc.cluster.local": ["10.1.0.1", "10.1.0.2", "192.168.0.30"],
        "db-1.db.istio-demo.svc.cluster.local": ["10.1.0.1"],
        "db-2.db.istio-demo.svc.cluster.local": ["10.1.0.2"],
    }


def test_pods_of_a_headless_service_on_a_port_nobody_declares_share_a_table_of_their_own() -> None:
    headless = service("web", {"name": "x", "port": 81}, clusterIP="None", selector={"app": "web"})
    pods = [pod(f"web-{number}", f"10.1.0.{number}", labels={"app": "web"}) for number in (1, 2)]
    snapshot = story.told(story.CLIENT, headless, *pods)
    table = "web.istio-demo.svc.cluster.local:81"
    for name in ("10.1.0.1_81", "10.1.0.2_81"):
        assert listener(snapshot, name)[0] == f"{HTTP} -> route {table}"
    (host,) = said(snapshot, type_urls.ROUTE, table)["virtual_hosts"]
    assert host["domains"] == ["*"]


def test_a_headless_service_without_pods_has_no_listener_and_an_entry_without_endpoints_has_one() -> None:
    headless = service("db", {"name": "tcp", "port": 5432}, clusterIP="None", selector={"app": "db"})
    assert listeners(story.told(story.CLIENT, headless)) == []
    assert listeners(story.told(story.CLIENT, entry("a.test", "5432/TCP", resolution="NONE"))) == [
        "0.0.0.0_5432"
    ]


def test_requests_to_a_headless_service_are_routed_like_any() -> None:
    headless = service("web", {"name": "http", "port": 80}, clusterIP="None", selector={"app": "web"})
    snapshot = story.told(story.CLIENT, headless, pod("web", "10.1.0.1", labels={"app": "web"}))
    assert listeners(snapshot) == ["0.0.0.0_80"]
    assert (
        said(snapshot, type_urls.CLUSTER, "outbound|80||web.istio-demo.svc.cluster.local")["type"]
        == "ORIGINAL_DST"
    )


def test_a_ports_protocol_is_its_app_protocol_its_name_or_found_out() -> None:
    ports = [
        {"port": 1, "name": "http-web"},
        {"port": 2, "name": "tcp"},
        {"port": 3, "name": "web", "appProtocol": "http"},
        {"port": 4, "name": "http", "appProtocol": "tcp"},
        {"port": 5, "name": "web"},
        {"port": 3306, "name": "db"},
        {"port": 6, "name": "grpc-web-api"},
        {"port": 7, "name": "dns", "protocol": "UDP"},
    ]
    snapshot = story.told(story.CLIENT, service("web", *ports, clusterIP="10.96.0.9"))
    assert listeners(snapshot) == [
        *(
            "0.0.0.0_1",
            "10.96.0.9_2",
            "0.0.0.0_3",
            "10.96.0.9_4",
            "10.96.0.9_5",
            "10.96.0.9_3306",
            "0.0.0.0_6",
        ),
    ]
    assert listener(snapshot, "10.96.0.9_3306") == ["all -> outbound|3306||web.istio-demo.svc.cluster.local"]
    assert listener(snapshot, "10.96.0.9_5")[0] == f"{HTTP} -> route web.istio-demo.svc.cluster.local:5"


def test_where_only_known_services_may_be_called_the_rest_ends() -> None:
    snapshot = story.told(story.CLIENT, entry("a.test", "80/HTTP"), mesh=Mesh(allow_any=False))
    assert listener(snapshot, "0.0.0.0_80") == [f"{HTTP} -> route 80", "all -> BlackHoleCluster"]
    everything = said(snapshot, type_urls.LISTENER, "virtualOutbound")["filter_chains"][-1]
    assert everything["filters"][-1]["typed_config"]["cluster"] == "BlackHoleCluster"
    (rest,) = [
        each for each in said(snapshot, type_urls.ROUTE, "80")["virtual_hosts"] if each["domains"] == ["*"]
    ]
    assert rest["routes"][0]["direct_response"]["status"] == 502


def test_a_name_in_the_handshake_leads_where_a_virtual_service_says() -> None:
    way = virtual_service(
        "*.b.test",
        tls=[
            {
                "match": [{"sniHosts": ["x.b.test"], "port": 443}],
                "route": [to("c.test", port={"number": 8443})],
            },
            {"match": [{"sniHosts": ["*.b.test"]}], "route": [to("*.b.test")]},
            {"match": [{"sniHosts": ["y.b.test"], "port": 444}], "route": [to("nowhere.test")]},
        ],
    )
    snapshot = story.told(
        story.CLIENT,
        entry("*.b.test", "443/TLS", resolution="NONE"),
        entry("c.test", "8443/TLS", addresses=["10.1.1.1"]),
        way,
    )
    assert listener(snapshot, "0.0.0.0_443") == [
        "x.b.test -> outbound|8443||c.test",
        "*.b.test -> outbound|443||*.b.test",
        PASS,
    ]


def test_connections_are_shared_out_by_weight_and_by_where_they_go() -> None:
    way = virtual_service(
        "a.test",
        tcp=[
            {"match": [{"destinationSubnets": ["10.9.0.0/16"]}], "route": [to("b.test")]},
            {"route": [to("a.test", 70), to("b.test", 30)]},
        ],
    )
    snapshot = story.told(
        story.CLIENT,
        entry("a.test", "9000/TCP", addresses=["10.1.1.1"]),
        entry("b.test", "9000/TCP", addresses=["10.1.1.2"]),
        way,
    )
    first, second = listener(snapshot, "10.1.1.1_9000")
    assert first == "10.9.0.0/16 -> outbound|9000||b.test"
    assert "'outbound|9000||a.test', 'weight': 70" in second
    assert "'outbound|9000||b.test', 'weight': 30" in second
