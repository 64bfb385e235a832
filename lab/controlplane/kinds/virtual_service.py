"""VirtualService: where requests and connections for a host go.

Owns:      the resource as a whole, its TLS and TCP routes, and what istiod refuses in it.
Does not:  read HTTP routes (http_route.py) or complete short host names (lab/controlplane/hosts.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final

from lab.controlplane.hosts import WILDCARD, matches, within
from lab.controlplane.kinds.destination import (
    WeightedDestination,
    check_weights,
    read_destination,
    read_weight,
)
from lab.controlplane.kinds.document import Field
from lab.controlplane.kinds.http_route import HttpRoute, read_http_route
from lab.controlplane.kinds.metadata import Metadata, read_export_to, read_metadata

MESH_GATEWAY: Final = "mesh"
"""The gateway name that means every sidecar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionMatch:
    """Of a TLS or TCP route. Empty fields match everything."""

    sni_hosts: tuple[str, ...] = ()
    """Of a TLS route only."""
    subnets: tuple[str, ...] = ()
    port: int = 0
    source_labels: Mapping[str, str] = field(default_factory=dict)
    source_namespace: str = ""
    gateways: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionRoute:
    matches: tuple[ConnectionMatch, ...]
    route: tuple[WeightedDestination, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualService:
    KIND: ClassVar[str] = "VirtualService"

    metadata: Metadata
    hosts: tuple[str, ...]
    gateways: tuple[str, ...] = (MESH_GATEWAY,)
    http: tuple[HttpRoute, ...] = ()
    tls: tuple[ConnectionRoute, ...] = ()
    tcp: tuple[ConnectionRoute, ...] = ()
    export_to: tuple[str, ...] = ("*",)


def read_virtual_service(at: Field) -> VirtualService:
    at.leave("status")
    spec = at["spec"]
    gateways = tuple(_read_gateway(each) for each in spec["gateways"]) or (MESH_GATEWAY,)
    service = VirtualService(
        metadata=read_metadata(at["metadata"]),
        hosts=tuple(_read_host(each, mesh=MESH_GATEWAY in gateways) for each in spec["hosts"]),
        gateways=gateways,
        http=tuple(each for each in map(read_http_route, spec["http"]) if each is not None),
        tls=tuple(_read_route(each, "TLS") for each in spec["tls"]),
        tcp=tuple(_read_route(each, "TCP") for each in spec["tcp"]),
        export_to=read_export_to(spec["exportTo"]),
    )
    _check(service, spec)
    return service


def _check(service: VirtualService, spec: Field) -> None:
    if not service.hosts:
        raise spec["hosts"].bad("virtual service must have at least one host (delegates are not served here)")
    for index, one in enumerate(service.hosts):
        for other in service.hosts[index + 1 :]:
            if matches(one, other):
                raise spec["hosts"].bad(f"duplicate hosts in virtual service: {one} and {other} overlap")
    if not any((list(spec["http"]), service.tls, service.tcp)):
        raise spec.bad("http, tcp or tls must be provided in virtual service")
    for route, at in zip(service.tls, spec["tls"], strict=True):
        _check_sni(service, route, at)


def _check_sni(service: VirtualService, route: ConnectionRoute, at: Field) -> None:
    if not route.matches:
        raise at["match"].bad("TLS route must have at least one match condition")
    for match, field_ in zip(route.matches, at["match"], strict=True):
        if not match.sni_hosts:
            raise field_["sniHosts"].bad("TLS match must have at least one SNI host")
        for sni in field_["sniHosts"]:
            if not any(within(sni.text(), host) for host in service.hosts):
                raise sni.bad(
                    "SNI host is not a compatible subset of any of the virtual service hosts: "
                    f"{', '.join(service.hosts)}"
                )


def _read_host(at: Field, *, mesh: bool) -> str:
    if at.value == WILDCARD and mesh:
        raise at.bad("wildcard host * is not allowed for virtual services bound to the mesh gateway")
    return at.host(wildcard=True)


def _read_gateway(at: Field) -> str:
    namespace, slash, name = at.text().partition("/")
    if slash and not (namespace and name):
        raise at.bad("config namespace and gateway name cannot be empty: write NAMESPACE/NAME, NAME or mesh")
    return at.text()


def _read_route(at: Field, kind: str) -> ConnectionRoute:
    route = tuple(
        WeightedDestination(destination=read_destination(each["destination"]), weight=read_weight(each))
        for each in at["route"]
    )
    if not route:
        raise at["route"].bad(f"{kind} route is required: write at least one destination")
    check_weights(route, at["route"])
    return ConnectionRoute(matches=tuple(_read_match(each) for each in at["match"]), route=route)


def _read_match(at: Field) -> ConnectionMatch:
    return ConnectionMatch(
        sni_hosts=tuple(each.host(wildcard=True) for each in at["sniHosts"]),
        subnets=tuple(each.subnet() for each in at["destinationSubnets"]),
        port=at["port"].port(0),
        source_labels=at["sourceLabels"].labels(),
        source_namespace=at["sourceNamespace"].text(""),
        gateways=tuple(_read_gateway(each) for each in at["gateways"]),
    )
