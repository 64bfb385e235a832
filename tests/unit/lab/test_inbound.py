"""What a workload's own proxy takes and what it turns away, as istiod decides it."""

import pytest

from lab.controlplane import type_urls
from lab.controlplane.proxy import Proxy
from lab.controlplane.snapshot import Snapshot
from tests.unit.lab import story
from tests.unit.lab.recorded import Json
from tests.unit.lab.served import entry, resource, said

SECURITY = "security.istio.io/v1"
MINE = [{"address": "192.168.0.204", "serviceAccount": "vm"}]
MESH_HTTP = "istio-http/1.0 istio-http/1.1 istio-h2"
HTTP = "http/1.1 h2c"


def authentication(spec: Json, *, name: str = "default", namespace: str = "istio-demo") -> str:
    return resource("PeerAuthentication", name, spec, version=SECURITY, namespace=namespace)


def told(*documents: str, protocol: str = "HTTP", port: int = 80) -> Snapshot:
    return story.told(story.VM, entry("a.test", f"{port}/{protocol}".rstrip("/"), endpoints=MINE), *documents)


def chains(snapshot: Snapshot, port: int = 80) -> list[str]:
    """Of one port: transport, ALPN names, whether the mesh's TLS ends there, and the last filter."""
    found = said(snapshot, type_urls.LISTENER, "virtualInbound")["filter_chains"]
    return [
        " ".join(
            (
                each["filter_chain_match"]["transport_protocol"],
                *each["filter_chain_match"].get("application_protocols", ()),
                *(["mutual"] if "transport_socket" in each else []),
                "->",
                each["filters"][-1]["name"].rpartition(".")[2],
            )
        )
        for each in found
        if each["filter_chain_match"].get("destination_port") == port
    ]


MANAGER, PROXY = "http_connection_manager", "tcp_proxy"


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [
        ("HTTP", [f"tls istio {MESH_HTTP} mutual -> {MANAGER}", f"raw_buffer -> {MANAGER}"]),
        ("TCP", [f"tls istio {MESH_HTTP} mutual -> {PROXY}", f"raw_buffer -> {PROXY}", f"tls -> {PROXY}"]),
        (
            "",
            [
                f"tls {MESH_HTTP} mutual -> {MANAGER}",
                f"raw_buffer {HTTP} -> {MANAGER}",
                f"tls istio mutual -> {PROXY}",
                f"raw_buffer -> {PROXY}",
                f"tls -> {PROXY}",
            ],
        ),
    ],
)
def test_without_a_word_both_the_mesh_and_others_are_let_in(protocol: str, expected: list[str]) -> None:
    assert [each.replace("istio-peer-exchange ", "") for each in chains(told(protocol=protocol))] == expected


def test_strict_takes_the_mesh_alone_and_disable_plain_text_alone() -> None:
    strict = authentication({"mtls": {"mode": "STRICT"}})
    assert chains(told(strict)) == [f"tls mutual -> {MANAGER}"]
    assert chains(told(strict, protocol="TCP")) == [f"tls mutual -> {PROXY}"]
    disable = authentication({"mtls": {"mode": "DISABLE"}})
    assert chains(told(disable)) == [f"raw_buffer -> {MANAGER}"]


def test_the_policy_of_a_workload_comes_before_its_namespaces_and_that_before_the_meshs() -> None:
    mesh = authentication({"mtls": {"mode": "STRICT"}}, namespace="istio-system")
    namespace = authentication({"mtls": {"mode": "DISABLE"}})
    selector = {"matchLabels": {"app": "a"}}
    own = authentication({"selector": selector, "mtls": {"mode": "STRICT"}}, name="own")
    other = authentication({"selector": {"matchLabels": {"app": "b"}}, "mtls": {"mode": "STRICT"}}, name="b")
    assert chains(told(mesh)) == [f"tls mutual -> {MANAGER}"]
    assert chains(told(mesh, namespace, other)) == [f"raw_buffer -> {MANAGER}"]
    labelled = story.node(ip="192.168.0.204", name="vm-204")
    labelled.metadata.update({"LABELS": {"app": "a"}})
    snapshot = story.told(
        Proxy.parse(labelled), entry("a.test", "80/HTTP", endpoints=MINE), mesh, namespace, own
    )
    assert chains(snapshot) == [f"tls mutual -> {MANAGER}"]


def test_clients_follow_what_the_workload_takes() -> None:
    """No mutual TLS to a workload that ends none."""
    disable = authentication({"mtls": {"mode": "DISABLE"}})
    for more, offered in (((), True), ((disable,), False)):
        snapshot = story.told(story.CLIENT, story.SERVICE, story.REGISTERED, *more)
        assignment = snapshot.of(type_urls.ENDPOINT)["outbound|80||nginx.jd.com"]
        assert (b"tlsMode" in assignment.value) is offered


def test_mongo_is_looked_into_at_its_workload_too() -> None:
    found = said(told(protocol="MONGO", port=27017), type_urls.LISTENER, "virtualInbound")["filter_chains"]
    own = [each for each in found if each["filter_chain_match"].get("destination_port") == 27017]
    assert [[filter_["name"].rpartition(".")[2] for filter_ in each["filters"]] for each in own] == [
        ["mongo_proxy", "tcp_proxy"]
    ] * 3


def test_a_target_port_is_where_the_workload_listens_and_two_services_on_it_are_one_port() -> None:
    documents = [
        entry("a.test", "80/HTTP", endpoints=[{"address": "192.168.0.204", "ports": {"port-80": 8080}}]),
        entry("b.test", "81/HTTP", endpoints=[{"address": "192.168.0.204", "ports": {"port-81": 8080}}]),
    ]
    snapshot = story.told(story.VM, *documents)
    assert [each for each in snapshot.of(type_urls.CLUSTER) if each.startswith("inbound")] == [
        "inbound|8080||"
    ]
    assert len(chains(snapshot, 8080)) == 2
    assert chains(snapshot, 80) == []


def test_a_service_of_another_namespace_opens_no_port() -> None:
    snapshot = story.told(story.VM, entry("a.test", "80/HTTP", endpoints=MINE, namespace="elsewhere"))
    assert chains(snapshot) == []


def test_limits_of_a_rule_hold_for_the_workload_itself() -> None:
    pool = {"connectionPool": {"tcp": {"maxConnections": 3}}}
    limits = resource("DestinationRule", "rule", {"host": "a.test", "trafficPolicy": pool})
    (threshold,) = said(told(limits), type_urls.CLUSTER, "inbound|80||")["circuit_breakers"]["thresholds"]
    assert threshold["max_connections"] == 3
