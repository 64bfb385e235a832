"""One proxy's snapshot.

Owns:      the collection of what clusters, endpoints, listeners, routes and names say, packed for the wire.
Does not:  contain any Envoy configuration itself, or know streams, subscriptions and nonces.
Surprise:  bytes are deterministic: the same world gives the same bytes, so a version is a digest and a push
           that changes nothing can be recognised.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import InitVar, dataclass, field
from typing import Final

from google.protobuf import any_pb2

from lab.controlplane import type_urls
from lab.controlplane.mesh import Mesh
from lab.controlplane.proxy import Proxy
from lab.controlplane.registry import World
from lab.controlplane.snapshot.access_log import with_access_log
from lab.controlplane.snapshot.clusters import clusters
from lab.controlplane.snapshot.endpoints import assignments
from lab.controlplane.snapshot.istio_filters import with_clusters_filters, with_listeners_filters
from lab.controlplane.snapshot.listeners import listeners
from lab.controlplane.snapshot.name_table import name_table
from lab.controlplane.snapshot.packing import pack
from lab.controlplane.snapshot.route_tables import route_tables
from lab.controlplane.snapshot.routes import empty_table
from lab.controlplane.snapshot.view import View, view

Resources = Mapping[str, any_pb2.Any]
"""Resource name -> resource, in the order they are sent."""

Versions = Mapping[str, str]
"""Resource name -> version, in the same order."""

Unserved = Callable[[str, str], any_pb2.Any | None]
"""Of a type URL and a name."""


def nothing(_type_url: str, _name: str) -> None:
    return None


_VERSION_DIGITS: Final = 16
"""64 bits of the digest: enough to tell versions apart, short enough to read in a log line."""
_VERSIONS: Final = 16**_VERSION_DIGITS


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """``resources[type_url][name]``; the name table is one resource with an empty name."""

    resources: Mapping[str, Resources]
    versions: Versions
    """Per type, changes exactly when a resource of the type changes; equal over restarts."""
    digests: Mapping[str, Versions] = field(init=False)
    """Per type and resource, of its bytes alone."""
    unserved: Unserved = field(default=nothing, compare=False)
    """What is said about a name that nobody serves, if anything is."""
    warnings: tuple[str, ...] = ()
    """What the resources ask for and this control plane does not serve, one line each."""

    known: InitVar["Snapshot | None"] = None
    """Another one, which may hold some of the same resources: their digests need not be made again."""

    @classmethod
    def of_resources(
        cls,
        resources: Mapping[str, Resources],
        warnings: tuple[str, ...] = (),
        known: "Snapshot | None" = None,
        unserved: Unserved = nothing,
    ) -> "Snapshot":
        made = cls(resources=resources, versions={}, warnings=warnings, known=known, unserved=unserved)
        versions = {url: _version(each) for url, each in made.digests.items()}
        object.__setattr__(made, "versions", versions)
        return made

    def __post_init__(self, known: "Snapshot | None") -> None:
        digests = {url: _digests(each, known, url) for url, each in self.resources.items()}
        object.__setattr__(self, "digests", digests)

    def of(self, type_url: str) -> Resources:
        """A type that is not served is a type without resources."""
        return self.resources.get(type_url, {})

    def resource(self, type_url: str, name: str) -> any_pb2.Any | None:
        return self.of(type_url).get(name) or self.unserved(type_url, name)

    def version(self, type_url: str, name: str) -> str:
        """Empty for what there is not."""
        served = self.digests_of(type_url).get(name)
        if served is not None:
            return served
        found = self.unserved(type_url, name)
        return digest(found) if found is not None else ""

    def digests_of(self, type_url: str) -> Versions:
        return self.digests.get(type_url, {})


def build(world: World, proxy: Proxy, mesh: Mesh) -> Snapshot:
    return of_view(view(world, proxy, mesh))


def of_view(seen: View) -> Snapshot:
    resources: dict[str, Resources] = {
        type_urls.CLUSTER: clusters_of(seen),
        type_urls.ENDPOINT: endpoints_of(seen),
        type_urls.LISTENER: listeners_of(seen),
        type_urls.ROUTE: routes_of(seen),
        type_urls.NAME_TABLE: names_of(seen),
    }
    return Snapshot.of_resources(resources, seen.warnings, unserved=unserved_by(seen))


def clusters_of(seen: View) -> Resources:
    made = clusters(seen)
    if seen.mesh.istio_filters:
        made = map(with_clusters_filters, made)
    return {each.name: pack(each) for each in made}


def endpoints_of(seen: View) -> Resources:
    return {each.cluster_name: pack(each) for each in assignments(seen)}


def listeners_of(seen: View) -> Resources:
    """Two services may claim one address and port; the one that was there first keeps it."""
    made = listeners(seen)
    if seen.mesh.istio_filters:
        made = (with_listeners_filters(each, router=seen.router) for each in made)
    if seen.mesh.access_log:
        made = (with_access_log(each, seen.mesh.access_log) for each in made)
    named: dict[str, any_pb2.Any] = {}
    for listener in made:
        named.setdefault(listener.name, pack(listener))
    return named


def routes_of(seen: View) -> Resources:
    return dict(route_tables(seen))


def unserved_by(seen: View) -> Unserved:
    """istiod has a table for any port that a sidecar asks for: what nobody serves there is unknown to the
    mesh."""

    def unserved(type_url: str, name: str) -> any_pb2.Any | None:
        if type_url == type_urls.ROUTE and name.isdecimal() and not seen.router:
            return empty_table(seen, name)
        return None

    return unserved


def names_of(seen: View) -> Resources:
    """One resource, whose name is empty."""
    return {"": any_pb2.Any(type_url=type_urls.NAME_TABLE, value=name_table(seen))}


def _digests(resources: Resources, known: Snapshot | None, type_url: str) -> Versions:
    if known is None:
        return {name: digest(each) for name, each in resources.items()}
    before, digests = known.of(type_url), known.digests_of(type_url)
    if before is resources:
        return digests
    return {
        name: digests[name] if before.get(name) is each else digest(each) for name, each in resources.items()
    }


def digest(resource: any_pb2.Any) -> str:
    """The version of one resource: of its bytes alone."""
    return hashlib.sha256(resource.value).hexdigest()[:_VERSION_DIGITS]


def _version(digests: Versions) -> str:
    """Whatever order they are in. Every resource but the name table has its name in its bytes."""
    return f"{sum(int(each, 16) for each in digests.values()) % _VERSIONS:0{_VERSION_DIGITS}x}"
