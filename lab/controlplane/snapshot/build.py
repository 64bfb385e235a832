"""One proxy's snapshot.

Owns:      the collection of what clusters, endpoints, listeners, routes and names say, packed for the wire.
Does not:  contain any Envoy configuration itself, or know streams, subscriptions and nonces.
Surprise:  bytes are deterministic: the same world gives the same bytes, so a version is a digest and a push
           that changes nothing can be recognised.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, Self

from envoy.config.listener.v3.listener_pb2 import Listener
from google.protobuf import any_pb2

from lab.controlplane import type_urls
from lab.controlplane.mesh import Mesh
from lab.controlplane.proxy import Proxy
from lab.controlplane.registry import World
from lab.controlplane.snapshot.clusters import clusters
from lab.controlplane.snapshot.endpoints import assignments
from lab.controlplane.snapshot.istio_filters import with_clusters_filters, with_listeners_filters
from lab.controlplane.snapshot.listeners import listeners
from lab.controlplane.snapshot.name_table import name_table
from lab.controlplane.snapshot.packing import pack
from lab.controlplane.snapshot.route_tables import route_tables
from lab.controlplane.snapshot.view import view

Resources = Mapping[str, any_pb2.Any]
"""Resource name -> resource, in the order they are sent."""

Versions = Mapping[str, str]
"""Resource name -> version, in the same order."""

_VERSION_DIGITS: Final = 16
"""64 bits of the digest: enough to tell versions apart, short enough to read in a log line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """``resources[type_url][name]``; the name table is one resource with an empty name."""

    resources: Mapping[str, Resources]
    versions: Versions
    """Per type, changes exactly when a resource of the type changes; equal over restarts."""
    digests: Mapping[str, Versions] = field(init=False)
    """Per type and resource, of its bytes alone."""
    warnings: tuple[str, ...] = ()
    """What the resources ask for and this control plane does not serve, one line each."""

    @classmethod
    def of_resources(cls, resources: Mapping[str, Resources], warnings: tuple[str, ...] = ()) -> Self:
        versions = {url: _version(_digests(each)) for url, each in resources.items()}
        return cls(resources=resources, versions=versions, warnings=warnings)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digests", {url: _digests(each) for url, each in self.resources.items()})

    def of(self, type_url: str) -> Resources:
        """A type that is not served is a type without resources."""
        return self.resources.get(type_url, {})

    def digests_of(self, type_url: str) -> Versions:
        return self.digests.get(type_url, {})


def build(world: World, proxy: Proxy, mesh: Mesh) -> Snapshot:
    seen = view(world, proxy, mesh)
    table = any_pb2.Any(
        type_url=type_urls.NAME_TABLE, value=name_table(seen).SerializeToString(deterministic=True)
    )
    made, listening = clusters(seen), listeners(seen)
    if mesh.istio_filters:
        made = map(with_clusters_filters, made)
        listening = (with_listeners_filters(each, router=seen.router) for each in listening)
    resources: dict[str, Resources] = {
        type_urls.CLUSTER: {each.name: pack(each) for each in made},
        type_urls.ENDPOINT: {each.cluster_name: pack(each) for each in assignments(seen)},
        type_urls.LISTENER: _first_of_each_name(listening),
        type_urls.ROUTE: {each.name: pack(each) for each in route_tables(seen)},
        type_urls.NAME_TABLE: {"": table},
    }
    return Snapshot.of_resources(resources, seen.warnings)


def _digests(resources: Resources) -> Versions:
    return {name: digest(each) for name, each in resources.items()}


def digest(resource: any_pb2.Any) -> str:
    """The version of one resource: of its bytes alone."""
    return hashlib.sha256(resource.value).hexdigest()[:_VERSION_DIGITS]


def _first_of_each_name(listeners: Iterable[Listener]) -> Resources:
    """Two services may claim one address and port; the one that was there first keeps it."""
    named: dict[str, any_pb2.Any] = {}
    for listener in listeners:
        named.setdefault(listener.name, pack(listener))
    return named


def _version(digests: Versions) -> str:
    together = hashlib.sha256()
    for name, version in digests.items():
        together.update(b"%d %s %s " % (len(name), name.encode(), version.encode()))
    return together.hexdigest()[:_VERSION_DIGITS]
