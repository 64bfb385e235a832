"""Each scenario served by the lab and compared with its recordings.

Does not:  print (command.py).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
)
from google.protobuf import any_pb2

from lab.compare.difference import differences
from lab.compare.project import Plain, project
from lab.compare.recordings import FILES, Recording, Scenario
from lab.controlplane import type_urls
from lab.controlplane.mesh import Mesh
from lab.controlplane.proxy import Proxy
from lab.controlplane.registry import World
from lab.controlplane.resources import read
from lab.controlplane.snapshot import Snapshot, build
from lab.controlplane.snapshot.packing import pack

_NAME_FIELD = {type_urls.ENDPOINT: "cluster_name"}

Projected = dict[str, Plain]
"""Resource name -> projection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """``differences`` by proxy; empty lists mean equal."""

    scenario: str
    differences: Mapping[str, list[str]]

    @property
    def equal(self) -> bool:
        """A scenario that nobody recorded is not equal to anything."""
        return bool(self.differences) and not any(self.differences.values())


def judge(scenario: Scenario) -> Verdict:
    world, refused = _world(scenario)
    found = {each.who: [*refused, *_compare(world, each)] for each in scenario.recordings}
    return Verdict(scenario=scenario.name, differences=found)


def _world(scenario: Scenario) -> tuple[World, list[str]]:
    """As istiod was given it: nobody has filled in what an API server and its controllers would."""
    world = World()
    refused: list[str] = []
    for path in (scenario.file, scenario.entries):
        if path is not None:
            parsed = read(path.read_text(), file=path.name)
            world = world.exchange((), parsed.resources)
            refused += [f"refused: {each.why}" for each in parsed.refused]
    return world, refused


def _compare(world: World, recording: Recording) -> Iterator[str]:
    mesh = Mesh(admission=False, istio_filters=True).with_settings(recording.mesh)
    served = asked_for(build(world, Proxy.parse(recording.node), mesh))
    for stem, url in FILES.items():
        theirs, ours = _projected(url, recording.sent[url]), _projected(url, served[url])
        yield from differences({stem: dict(theirs)}, {stem: dict(ours)}, "")


def asked_for(snapshot: Snapshot) -> dict[str, list[any_pb2.Any]]:
    """What a proxy would ask for: endpoints and routes only of what clusters and listeners mention."""
    clusters, listeners = snapshot.of(type_urls.CLUSTER), snapshot.of(type_urls.LISTENER)
    endpoints, routes = snapshot.of(type_urls.ENDPOINT), snapshot.of(type_urls.ROUTE)
    found = {url: list(snapshot.of(url).values()) for url in FILES.values()}
    found[type_urls.ENDPOINT] = [
        endpoints[name] for name in _eds_names(clusters.values()) if name in endpoints
    ]
    found[type_urls.ROUTE] = [routes.get(name) or _empty(name) for name in _route_names(listeners.values())]
    return found


def _empty(name: str) -> any_pb2.Any:
    """istiod answers for every route table it is asked for."""
    return pack(RouteConfiguration(name=name, validate_clusters={"value": False}))


def _eds_names(clusters: Iterable[any_pb2.Any]) -> Iterator[str]:
    for packed in clusters:
        cluster = Cluster.FromString(packed.value)
        if cluster.type == Cluster.EDS:
            yield cluster.eds_cluster_config.service_name or cluster.name


def _route_names(listeners: Iterable[any_pb2.Any]) -> list[str]:
    names: dict[str, None] = {}
    for packed in listeners:
        listener = Listener.FromString(packed.value)
        for chain in [*listener.filter_chains, listener.default_filter_chain]:
            for each in chain.filters:
                if each.typed_config.Is(HttpConnectionManager.DESCRIPTOR):
                    manager = HttpConnectionManager.FromString(each.typed_config.value)
                    if manager.rds.route_config_name:
                        names[manager.rds.route_config_name] = None
    return list(names)


def _projected(url: str, resources: Iterable[any_pb2.Any]) -> Projected:
    found: Projected = {}
    for resource in resources:
        plain = project(resource)
        assert isinstance(plain, dict), plain
        name = plain.get(_NAME_FIELD.get(url, "name"), "")
        found[str(name)] = plain
    return dict(sorted(found.items()))
