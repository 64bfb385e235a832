"""VirtualServices with every name in them completed, and which of them a proxy sees.

Does not:  turn them into routes (http_routes.py) or chains (connection_chains.py).
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from lab.controlplane.hosts import absolute, closest
from lab.controlplane.kinds.destination import Destination, WeightedDestination
from lab.controlplane.kinds.http_match import HttpMatch
from lab.controlplane.kinds.http_route import HttpRoute
from lab.controlplane.kinds.metadata import shown_to
from lab.controlplane.kinds.virtual_service import MESH_GATEWAY, ConnectionRoute, VirtualService
from lab.controlplane.mesh import Mesh
from lab.controlplane.proxy import Proxy
from lab.controlplane.registry import World


def visible(world: World, proxy: Proxy, mesh: Mesh) -> tuple[VirtualService, ...]:
    """Its own namespace's private ones first, then those shown to it by name, then those shown to all; the
    oldest first among each."""
    shown = [
        each
        for each in world.all(VirtualService)
        if shown_to(each.export_to, own=each.metadata.namespace, namespace=proxy.namespace)
    ]
    return tuple(_resolved(each, mesh) for each in sorted(shown, key=lambda each: _order(each, proxy)))


def for_gateway(services: Iterable[VirtualService], gateway: str) -> tuple[VirtualService, ...]:
    return tuple(each for each in services if gateway in each.gateways)


def closest_by_host(services: Iterable[VirtualService], hosts: Iterable[str]) -> Mapping[str, VirtualService]:
    """Of each host, the one VirtualService whose hosts say most about it; of several, the first."""
    claimed: dict[str, VirtualService] = {}
    for each in services:
        for host in each.hosts:
            claimed.setdefault(host, each)
    if not claimed:
        return {}
    wildcards = [host for host in claimed if host.startswith("*")]
    found = {}
    for host in hosts:
        claim = host if host in claimed else closest(host, wildcards)
        if claim is not None:
            found[host] = claimed[claim]
    return found


def _order(service: VirtualService, proxy: Proxy) -> tuple[int, str, str, str]:
    about = service.metadata
    own = about.namespace == proxy.namespace and "*" not in service.export_to
    rank = 0 if own else 1 if "*" not in service.export_to else 2
    return rank, about.created, about.name, about.namespace


def _resolved(service: VirtualService, mesh: Mesh) -> VirtualService:
    names = _Names(service.metadata.namespace, mesh.dns_domain)
    return replace(
        service,
        hosts=tuple(map(names.host, service.hosts)),
        gateways=tuple(map(names.gateway, service.gateways)),
        http=tuple(map(names.http, service.http)),
        tls=tuple(map(names.connection, service.tls)),
        tcp=tuple(map(names.connection, service.tcp)),
    )


class _Names:
    """What names of one namespace mean."""

    def __init__(self, namespace: str, domain: str) -> None:
        self._namespace, self._domain = namespace, domain

    def host(self, host: str) -> str:
        return absolute(host, self._namespace, self._domain)

    def gateway(self, name: str) -> str:
        return name if name == MESH_GATEWAY or "/" in name else f"{self._namespace}/{name}"

    def http(self, route: HttpRoute) -> HttpRoute:
        return replace(
            route,
            matches=tuple(map(self._match, route.matches)),
            route=tuple(self._weighted(route.route)),
            mirrors=tuple(replace(each, destination=self._to(each.destination)) for each in route.mirrors),
        )

    def connection(self, route: ConnectionRoute) -> ConnectionRoute:
        return replace(
            route,
            matches=tuple(
                replace(each, gateways=tuple(map(self.gateway, each.gateways))) for each in route.matches
            ),
            route=tuple(self._weighted(route.route)),
        )

    def _match(self, match: HttpMatch) -> HttpMatch:
        return replace(match, gateways=tuple(map(self.gateway, match.gateways)))

    def _weighted(self, route: Iterable[WeightedDestination]) -> Iterator[WeightedDestination]:
        return (replace(each, destination=self._to(each.destination)) for each in route)

    def _to(self, destination: Destination) -> Destination:
        return replace(destination, host=self.host(destination.host))
