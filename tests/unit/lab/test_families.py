"""What a proxy of IPv6, or of both families, is served: as istiod decides it."""

from typing import Any

import pytest

from lab.controlplane import addresses, type_urls
from lab.controlplane.mesh import Allocation, Mesh
from lab.controlplane.proxy import Proxy
from tests.unit.lab import story
from tests.unit.lab.served import entry, listener, names, said, service

SIX, FOUR = "fd00:168::30", "192.168.0.30"
ONLY6 = Proxy.parse(story.node(ip=SIX, name="client"))
MIXED = Proxy.parse(story.node(ip=SIX, name="client", INSTANCE_IPS=f"{SIX},{FOUR}"))
DUAL = Mesh(dual_stack=True)
DOCUMENTS = (
    entry("web.test", "80/HTTP"),
    entry("db.test", "5432/TCP"),
    entry("away.test", "443/TLS", resolution="DNS"),
)


def bound(message: Any) -> list[str]:
    """Its address, then the additional ones."""
    every = [message["address"], *(each["address"] for each in message.get("additional_addresses", ()))]
    return [each["socket_address"]["address"] for each in every]


@pytest.mark.parametrize(
    ("proxy", "mesh", "wildcards", "sources", "lookup"),
    [
        (story.CLIENT, DUAL, ["0.0.0.0"], ["127.0.0.6"], "V4_ONLY"),
        (ONLY6, Mesh(), ["::"], ["::6"], "V6_ONLY"),
        (MIXED, Mesh(), ["0.0.0.0"], ["127.0.0.6"], "V4_ONLY"),
        (MIXED, DUAL, ["0.0.0.0", "::"], ["127.0.0.6", "::6"], "ALL"),
    ],
    ids=["IPv4", "IPv6", "both, not dual stack", "both"],
)
def test_where_it_listens_and_from_where_it_goes_on(
    proxy: Proxy, mesh: Mesh, wildcards: list[str], sources: list[str], lookup: str
) -> None:
    snapshot = story.told(proxy, *DOCUMENTS, mesh=mesh)
    for name in ("virtualOutbound", "virtualInbound", f"{wildcards[0]}_80"):
        assert bound(said(snapshot, type_urls.LISTENER, name)) == wildcards
    source = said(snapshot, type_urls.CLUSTER, "InboundPassthroughCluster")["upstream_bind_config"]
    more = [each["address"]["address"] for each in source.get("extra_source_addresses", ())]
    assert [source["source_address"]["address"], *more] == sources
    resolved = said(snapshot, type_urls.CLUSTER, "outbound|443||away.test")
    assert resolved.get("dns_lookup_family", "AUTO") == lookup


@pytest.mark.parametrize(
    ("proxy", "mesh", "given"),
    [
        (story.CLIENT, DUAL, ["240.240.0.3"]),
        (ONLY6, DUAL, ["2001:2::3"]),
        (MIXED, Mesh(), ["240.240.0.3"]),
        (MIXED, DUAL, ["240.240.0.3", "2001:2::3"]),
    ],
    ids=["IPv4", "IPv6", "both, not dual stack", "both"],
)
def test_addresses_that_istiod_gives_are_of_the_families_a_proxy_has(
    proxy: Proxy, mesh: Mesh, given: list[str]
) -> None:
    snapshot = story.told(proxy, *DOCUMENTS, mesh=mesh)
    assert names(snapshot)["web.test"] == given
    own = names(snapshot)["db.test"]
    assert bound(said(snapshot, type_urls.LISTENER, f"{own[0]}_5432")) == own
    hosts = said(snapshot, type_urls.ROUTE, "80")["virtual_hosts"]
    domains = next(each["domains"] for each in hosts if each["name"] == "web.test:80")
    assert domains[-len(given) :] == [f"[{each}]" if ":" in each else each for each in given]


def test_of_addresses_that_somebody_wrote_a_proxy_gets_what_it_can_reach() -> None:
    two = service(
        "two", {"port": 80, "name": "tcp"}, clusterIP="fd00:96::7", clusterIPs=["fd00:96::7", "10.96.0.7"]
    )
    host = "two.istio-demo.svc.cluster.local"
    assert names(story.told(story.CLIENT, two))[host] == ["10.96.0.7"]
    assert names(story.told(ONLY6, two))[host] == ["fd00:96::7"]
    assert names(story.told(MIXED, two))[host] == ["fd00:96::7"]
    assert names(story.told(MIXED, two, mesh=DUAL))[host] == ["fd00:96::7", "10.96.0.7"]


def test_one_that_has_only_the_other_family_is_told_all_the_same() -> None:
    four = entry("four.test", "9000/TCP", addresses=["10.1.1.1"])
    assert names(story.told(ONLY6, four))["four.test"] == ["10.1.1.1"]
    assert listener(story.told(ONLY6, four), "10.1.1.1_9000") == ["all -> outbound|9000||four.test"]


def test_each_generation_has_its_own_second_address() -> None:
    assert addresses.both("240.240.1.2", Allocation.NEXT_FREE) == ("240.240.1.2", "2001:2::102")
    assert addresses.both("240.240.116.21", Allocation.HASH) == ("240.240.116.21", "2001:2::f0f0:7415")
    assert addresses.both("240.240.0.21", Allocation.HASH) == ("240.240.0.21", "2001:2::f0f0:15")
    assert addresses.both("240.240.1.2", Allocation.SEQUENTIAL) == ("240.240.1.2",)
