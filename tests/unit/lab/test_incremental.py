"""A snapshot that is made out of the last one is the one that would have been made from nothing."""

import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import pytest
from envoy.config.route.v3.route_pb2 import RouteConfiguration

from lab.controlplane import type_urls
from lab.controlplane._pb import nds_pb2
from lab.controlplane.mesh import Allocation, Mesh
from lab.controlplane.proxy import Proxy
from lab.controlplane.registry import World, key_of
from lab.controlplane.resources import Resource, parse
from lab.controlplane.snapshot.affected import Affected, affected
from lab.controlplane.snapshot.incremental import Built, again, first
from tests.unit.lab import story

MESH = Mesh()
ROUTER = Proxy.parse(story.node(ip="192.168.0.90", name="gateway"))
ROUTER = replace(ROUTER, role="router", labels={"istio": "egressgateway"})
ELSEWHERE = replace(story.CLIENT, namespace="elsewhere", name="other.elsewhere")
PROXIES = {"client": story.CLIENT, "vm": story.VM, "router": ROUTER, "elsewhere": ELSEWHERE}

NAMES = ("nginx", "second", "third", "*.wild")


def entry(name: str, rng: random.Random) -> str:
    """One of several documents that may claim the same hosts, addresses and ports."""
    protocol, number = rng.choice([("HTTP", 80), ("HTTP", 8080), ("TCP", 6379), ("TLS", 443), ("HTTPS", 443)])
    resolution = rng.choice(["STATIC", "STATIC", "DNS", "NONE"])
    hosts = sorted(rng.sample([f"{each}.jd.com" for each in NAMES], k=rng.choice([1, 1, 2])))
    if resolution != "NONE":
        hosts = [each for each in hosts if not each.startswith("*")] or ["nginx.jd.com"]
    lines = [
        "apiVersion: networking.istio.io/v1",
        "kind: ServiceEntry",
        f"metadata: {{name: {name}, namespace: {rng.choice(['istio-demo', 'elsewhere'])}}}",
        "spec:",
        f"  hosts: {hosts}",
        f"  ports: [{{number: {number}, name: port, protocol: {protocol}}}]",
        f"  resolution: {resolution}",
        f"  location: {rng.choice(['MESH_INTERNAL', 'MESH_EXTERNAL'])}",
        f"  exportTo: [{rng.choice(['*', '*', '.'])!r}]",
    ]
    if protocol == "HTTP" and rng.random() < 0.3:
        lines.append(f"  addresses: [10.0.0.{rng.randint(1, 3)}]")
    elif protocol != "HTTP":
        lines.append(f"  addresses: [10.0.1.{rng.randint(1, 3)}]")
        lines[4] = f"  hosts: {hosts[:1]}"
    if resolution == "STATIC" and rng.random() < 0.5:
        lines.append("  workloadSelector: {labels: {app: nginx}}")
    elif resolution in ("STATIC", "DNS"):
        address = f"192.168.0.{rng.randint(200, 206)}" if resolution == "STATIC" else "backend.example"
        lines.append(f"  endpoints: [{{address: {address}}}]")
    return "\n".join(lines)


def workload(rng: random.Random) -> str:
    number = rng.choice([30, 203, 204])
    labels = rng.choice(["{app: nginx, class: vm}", "{app: other}"])
    return f"""
apiVersion: networking.istio.io/v1
kind: WorkloadEntry
metadata: {{name: vm-{number}, namespace: istio-demo}}
spec: {{address: 192.168.0.{number}, labels: {labels}, serviceAccount: {rng.choice(["vm", "other"])}}}
"""


def pod(rng: random.Random) -> str:
    ready = rng.choice(["True", "False"])
    return story.POD.replace('status: "True"', f'status: "{ready}"')


def service(rng: random.Random) -> str:
    address = rng.choice(["10.96.0.20", "None"])
    return f"""
apiVersion: v1
kind: Service
metadata: {{name: shop, namespace: istio-demo}}
spec:
  clusterIP: {address}
  selector: {{app: {rng.choice(["nginx", "shop"])}}}
  ports: [{{name: http, port: {rng.choice([80, 8080])}}}]
"""


def endpoints(rng: random.Random) -> str:
    target = rng.choice(["", ", targetRef: {kind: Pod, name: nginx-docker}"])
    return f"""
apiVersion: v1
kind: Endpoints
metadata: {{name: shop, namespace: istio-demo}}
subsets:
- addresses: [{{ip: 192.168.0.{rng.randint(20, 22)}{target}}}]
  ports: [{{name: http, port: 8080}}]
"""


def rule(rng: random.Random) -> str:
    host = rng.choice(["nginx.jd.com", "second.jd.com", "shop", "'*.jd.com'"])
    policy = rng.choice(
        [
            "{tls: {mode: ISTIO_MUTUAL}}",
            "{loadBalancer: {consistentHash: {httpHeaderName: x-user}}}",
            "{outlierDetection: {consecutive5xxErrors: 3}}",
        ]
    )
    return f"""
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: rule-{rng.randint(1, 2)}, namespace: istio-demo}}
spec:
  host: {host}
  trafficPolicy: {policy}
  subsets: [{{name: vm, labels: {{class: vm}}}}]
"""


def routing(rng: random.Random) -> str:
    weight = rng.randint(0, 100)
    return story.routing(vm=weight, docker=100 - weight).replace(
        "hosts: [nginx.jd.com]", f"hosts: [{rng.choice(['nginx.jd.com', 'nobody.jd.com'])}]"
    )


def authentication(rng: random.Random) -> str:
    return f"""
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {{name: default, namespace: istio-demo}}
spec: {{mtls: {{mode: {rng.choice(["STRICT", "DISABLE"])}}}}}
"""


def gateway(_: random.Random) -> str:
    return """
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: egress, namespace: istio-demo}
spec:
  selector: {istio: egressgateway}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]
"""


KINDS = (workload, pod, service, endpoints, rule, routing, authentication, gateway)


def resources(text: str) -> tuple[Resource, ...]:
    return parse(text, file="edit.yaml").resources


def edited(world: World, rng: random.Random) -> World:
    """One document more, another one, or one less."""
    if world.resources and rng.random() < 0.25:
        return world.remove(rng.choice(list(world.resources)))
    text = entry(f"entry-{rng.randint(1, 5)}", rng) if rng.random() < 0.5 else rng.choice(KINDS)(rng)
    new = resources(text)
    return world.exchange({key_of(each) for each in new} & world.resources.keys(), new)


def history(seed: int) -> Iterator[World]:
    rng = random.Random(seed)
    world = World.of(resources(story.SERVICE + "---" + story.REGISTERED))
    yield world
    for _ in range(25):
        world = edited(world, rng)
        yield world


def same(one: Built, other: Built) -> None:
    assert one.view == other.view
    for url in type_urls.PUSH_ORDER:
        assert dict(one.snapshot.of(url)) == dict(other.snapshot.of(url)), url
    assert one.snapshot.versions == other.snapshot.versions
    assert {url: dict(each) for url, each in one.snapshot.digests.items()} == {
        url: dict(each) for url, each in other.snapshot.digests.items()
    }
    assert sorted(one.snapshot.warnings) == sorted(other.snapshot.warnings)


@pytest.mark.parametrize("who", PROXIES)
@pytest.mark.parametrize("seed", range(6))
def test_whatever_is_edited_the_next_snapshot_is_that_of_the_new_world(seed: int, who: str) -> None:
    proxy = PROXIES[who]
    built: Built | None = None
    for world in history(seed):
        fresh = first(world, proxy, MESH)
        built = fresh if built is None else again(built, world, MESH)
        same(built, fresh)


def test_the_histories_are_not_all_built_from_nothing() -> None:
    steps = [affected(old, new, MESH) for seed in range(6) for old, new in pairwise(history(seed))]
    partial = [each for each in steps if not each.everything]
    assert len(partial) > len(steps) / 2
    assert any(each.routing for each in partial)
    assert any(len(each.hosts) > 1 for each in partial)


def test_several_changes_at_once_are_one_step() -> None:
    worlds = list(history(3))
    same(again(first(worlds[0], story.CLIENT, MESH), worlds[-1], MESH), first(worlds[-1], story.CLIENT, MESH))


@pytest.mark.parametrize("allocation", [Allocation.SEQUENTIAL, Allocation.HASH])
def test_an_allocation_that_moves_addresses_is_made_from_nothing(allocation: Allocation) -> None:
    mesh = replace(MESH, allocation=allocation)
    built = first(story.world(story.SERVICE), story.CLIENT, mesh)
    other = story.SERVICE.replace("nginx.jd.com", "aaa.jd.com").replace("name: nginx\n", "name: aaa\n", 1)
    world = story.world(story.SERVICE, other)
    same(again(built, world, mesh), first(world, story.CLIENT, mesh))


def test_another_mesh_configuration_makes_everything_anew() -> None:
    world = story.world(story.SERVICE)
    built = first(world, story.CLIENT, MESH)
    other = replace(MESH, trust_domain="other.local")
    same(again(built, world, other), first(world, story.CLIENT, other))


def test_what_no_proxy_is_told_of_changes_nothing_at_all() -> None:
    world = story.world(story.SERVICE)
    built = first(world, story.CLIENT, MESH)
    (namespace,) = resources("{apiVersion: v1, kind: Namespace, metadata: {name: x}}")
    assert again(built, world.add(namespace), MESH).snapshot is built.snapshot


@pytest.mark.parametrize("seed", range(6))
def test_what_is_put_together_of_pieces_is_a_message_like_any_other(seed: int) -> None:
    """Route tables and the name table, byte for byte as protobuf would have written them at once."""
    for world in history(seed):
        snapshot = first(world, story.CLIENT, MESH).snapshot
        for table in snapshot.of(type_urls.ROUTE).values():
            whole = RouteConfiguration.FromString(table.value)
            assert whole.SerializeToString(deterministic=True) == table.value
        names = snapshot.of(type_urls.NAME_TABLE)[""].value
        assert nds_pb2.NameTable.FromString(names).SerializeToString(deterministic=True) == names


def test_a_change_of_endpoints_leaves_every_other_resource_as_it_is() -> None:
    world = story.world(story.SERVICE, story.REGISTERED)
    built = first(world, story.CLIENT, MESH)
    moved = story.REGISTERED.replace("192.168.0.204\n  labels", "192.168.0.205\n  labels")
    now = again(built, world.replace(*resources(moved)), MESH)
    for url in (type_urls.LISTENER, type_urls.ROUTE, type_urls.NAME_TABLE):
        assert now.snapshot.of(url) is built.snapshot.of(url)


def test_hosts_are_affected_by_their_own_documents_workloads_and_rules() -> None:
    def step(*added: str) -> Affected:
        base = story.world(story.SERVICE, story.REGISTERED)
        return affected(base, base.exchange((), resources("---".join(added))), MESH)

    assert step(story.POD) == Affected(hosts=frozenset({"nginx.jd.com"}))
    assert step(story.POD.replace("app: nginx", "app: other")) == Affected()
    assert step(story.GROUP) == Affected()
    assert step(story.routing(vm=1, docker=99)) == Affected(hosts=frozenset({"nginx.jd.com"}), routing=True)
    assert step(gateway(random.Random(1))).everything
