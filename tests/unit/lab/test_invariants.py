"""What Envoy would refuse a whole listener or route table for, asked of many meshes nobody thought of."""

import itertools
import random
from typing import Any

import pytest

from lab.controlplane import type_urls
from lab.controlplane.snapshot import Snapshot
from tests.unit.lab import story, varied
from tests.unit.lab.recorded import Json
from tests.unit.lab.served import entry, rule, said, to, virtual_service

HOSTS = ("a.test", "b.test", "*.test", "x.a.test", "a.istio-demo.svc.cluster.local", "a")
PROTOCOLS = ("HTTP", "GRPC", "TCP", "TLS", "HTTPS", "MONGO", "MYSQL", "")
PORTS = (80, 443, 9000)
ADDRESSES = ((), ("10.1.1.1",), ("10.1.1.1", "10.1.1.2"), ("10.1.0.0/16",), ("0.0.0.0/0",))
NAMESPACES = ("istio-demo", "elsewhere", "istio-system")


def mesh(seed: int) -> list[str]:
    """Few names, so that documents get into each other's way."""
    draw = random.Random(seed)
    documents = [_service(draw, number) for number in range(draw.randint(2, 8))]
    documents += [_way(draw, number) for number in range(draw.randint(0, 3))]
    subsets = [{"name": "v1", "labels": {"version": "v1"}}]
    documents += [rule(draw.choice(HOSTS), name=f"rule-{number}", subsets=subsets) for number in range(2)]
    return documents


def _service(draw: random.Random, number: int) -> str:
    host = draw.choice(HOSTS)
    resolutions = ("NONE", "STATIC") if host.startswith("*") else ("NONE", "STATIC", "DNS")
    resolution = draw.choice(resolutions)
    ports = [
        f"{each}/{draw.choice(PROTOCOLS)}".rstrip("/") for each in draw.sample(PORTS, draw.randint(1, 3))
    ]
    endpoints = (
        {"endpoints": [{"address": "10.9.0.1", "labels": {"version": "v1"}}]}
        if resolution == "STATIC"
        else {}
    )
    return entry(
        host,
        *ports,
        resolution=resolution,
        name=f"entry-{number}",
        namespace=draw.choice(NAMESPACES),
        addresses=[each for each in draw.choice(ADDRESSES) if resolution != "DNS" or "/" not in each],
        location=draw.choice(("MESH_INTERNAL", "MESH_EXTERNAL")),
        **endpoints,
    )


def _way(draw: random.Random, number: int) -> str:
    host, other = draw.choice(HOSTS), draw.choice(("a.test", "b.test"))
    spec: dict[str, Any] = {"http": [{"route": [to(other, 60), to("a.test", 40, subset="v1")]}]}
    if draw.random() < 0.5:
        spec["tcp"] = [{"match": [{"port": draw.choice(PORTS)}], "route": [to(other)]}]
    if "." in host and draw.random() < 0.5:
        spec["tls"] = [{"match": [{"sniHosts": [host]}], "route": [to(other)]}]
    return virtual_service(host, name=f"way-{number}", namespace=draw.choice(NAMESPACES), **spec)


def chain_matches(listener: Json) -> list[str]:
    return [repr(sorted(each.get("filter_chain_match", {}).items())) for each in listener["filter_chains"]]


def twice(found: list[str]) -> set[str]:
    return {each for each in found if found.count(each) > 1}


def asked(snapshot: Snapshot) -> set[str]:
    """Route tables that listeners name."""
    filters = (
        filter_["typed_config"]
        for name in snapshot.of(type_urls.LISTENER)
        for chain in said(snapshot, type_urls.LISTENER, name)["filter_chains"]
        for filter_ in chain["filters"]
    )
    return {each["rds"]["route_config_name"] for each in filters if "rds" in each}


@pytest.mark.parametrize("seed", range(60))
def test_nothing_is_there_twice_and_nothing_that_is_named_is_missing(seed: int) -> None:
    snapshot = story.told(story.CLIENT, *mesh(seed))
    for name in snapshot.of(type_urls.LISTENER):
        listener = said(snapshot, type_urls.LISTENER, name)
        if not name.startswith("virtual"):
            assert twice(chain_matches(listener)) == set(), name
    for name in snapshot.of(type_urls.ROUTE):
        hosts = said(snapshot, type_urls.ROUTE, name).get("virtual_hosts", [])
        assert twice([each["name"] for each in hosts]) == set(), name
        assert twice([domain.lower() for each in hosts for domain in each["domains"]]) == set(), name
    assert asked(snapshot) <= set(snapshot.of(type_urls.ROUTE))
    clusters = {name: said(snapshot, type_urls.CLUSTER, name) for name in snapshot.of(type_urls.CLUSTER)}
    discovered = {name for name, each in clusters.items() if each["type"] == "EDS"}
    assert discovered == set(snapshot.of(type_urls.ENDPOINT))


@pytest.mark.parametrize("seed", range(12))
def test_the_order_in_which_documents_are_read_says_nothing(seed: int) -> None:
    documents = mesh(seed)
    mixed = list(documents)
    random.Random(seed).shuffle(mixed)
    first, second = (story.told(story.CLIENT, *each) for each in (documents, mixed))
    assert first.versions == second.versions


def test_the_varied_mesh_says_the_same_to_two_control_planes() -> None:
    for proxy in (story.CLIENT, story.VM, varied.router()):
        first, second = (story.told(proxy, *each) for each in itertools.repeat(varied.DOCUMENTS, 2))
        assert first.resources == second.resources
