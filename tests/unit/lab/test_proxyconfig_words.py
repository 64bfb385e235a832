"""The words of ``istioctl proxy-config`` for domains, matches and chains."""

from typing import Any

import pytest

from lab.proxyconfig.dump import camel
from lab.proxyconfig.listeners import destination, kind, takes
from lab.proxyconfig.routes import described_match, listed_domains, shortest_domain


@pytest.mark.parametrize(
    ("domains", "told"),
    [
        (["*"], "*"),
        (["xxx.jd.com", "xxx.jd.com:80"], "xxx.jd.com"),
        (["a.shop.svc.cluster.local", "a", "a.shop.svc", "a.shop", "10.96.0.9"], "a, a.shop + 1 more..."),
        (["[fd00::1:7]", "[fd00::1:7]:80", "b"], "[fd00::1:7], b"),
        ([], ""),
    ],
)
def test_domains_are_two_and_how_many_more(domains: list[str], told: str) -> None:
    assert listed_domains(domains) == told


@pytest.mark.parametrize(
    ("domains", "told"),
    [
        (["xxx.jd.com", "xxx.jd.com.", "240.240.0.1"], "xxx.jd.com"),
        (["xxx", "xxx:80", "x:80", "::1"], "xxx"),
        (["10.96.0.9", "10.96.0.9:80"], "10.96.0.9"),
        ([], ""),
    ],
)
def test_a_virtual_host_is_known_by_its_shortest_name(domains: list[str], told: str) -> None:
    assert shortest_domain(domains) == told


@pytest.mark.parametrize(
    ("match", "told"),
    [
        ({"prefix": "/"}, "/*"),
        ({"path_separated_prefix": "/v1"}, "/v1*"),
        ({"path": "/exact", "headers": [{"name": "x"}]}, "/exact"),
        ({"safe_regex": {"regex": "/a.*"}}, "regex /a.*"),
    ],
)
def test_a_match_is_told_by_its_path(match: dict[str, Any], told: str) -> None:
    assert described_match(match) == told


def test_chains_are_told_in_istioctls_words() -> None:
    match = {
        "server_names": ["a.example", "b.example"],
        "transport_protocol": "tls",
        "application_protocols": ["istio-peer-exchange", "istio"],
        "prefix_ranges": [{"address_prefix": "10.0.0.0", "prefix_len": 8}, {"address_prefix": "0.0.0.0"}],
        "destination_port": 443,
    }
    told = "SNI: a.example,b.example; Trans: tls; App: TCP TLS; Addr: 10.0.0.0/8,0.0.0.0/0:443"
    assert takes({"filter_chain_match": match}) == told
    http = {"@type": "type.googleapis.com/a.v3.HttpConnectionManager"}
    inline = {"virtual_hosts": [{"domains": ["*"], "routes": [{"match": {"prefix": "/stats"}}]}]}
    tcp = {"@type": "type.googleapis.com/a.v3.TcpProxy"}
    weighted = {"clusters": [{"name": "a", "weight": 3}, {"name": "b", "weight": 1}]}

    def chain(config: dict[str, Any]) -> dict[str, Any]:
        return {"filters": [{"name": "whatever", "typed_config": config}]}

    assert destination(chain({**http, "route_config": inline})) == "Inline Route: /stats*"
    assert destination(chain({**tcp, "cluster": "outbound|3306||db"})) == "Cluster: outbound|3306||db"
    assert destination(chain({**tcp, "weighted_clusters": weighted})) == "Cluster: a (3), b (1)"
    assert destination(chain({"@type": "type.googleapis.com/a.v3.Other"})) == "Non-HTTP/Non-TCP"
    assert kind({"filter_chains": [chain(http)], "default_filter_chain": chain(tcp)}) == "HTTP+TCP"


def test_names_of_fields_are_spelt_as_protobuf_spells_them() -> None:
    assert [camel(each) for each in ("virtual_hosts", "name", "ipv4_only_2x")] == [
        "virtualHosts",
        "name",
        "ipv4Only2x",
    ]
