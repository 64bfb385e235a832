"""DestinationRule and VirtualService, as far as the stories use them: subsets and weighted routes.

Does not:  resolve short host names (snapshot/names.py). What else a document says is reported as
           not served.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final

from lab.controlplane.kinds.document import Field
from lab.controlplane.kinds.metadata import Metadata, read_metadata

WHOLE: Final = 100
"""Weights are per cent: what a single destination without a weight gets."""


MESH_GATEWAY: Final = "mesh"
"""The gateway name that means every sidecar."""

_MATCH: Final = "match"


@dataclass(frozen=True, slots=True, kw_only=True)
class Subset:
    name: str
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationRule:
    KIND: ClassVar[str] = "DestinationRule"

    metadata: Metadata
    host: str
    subsets: tuple[Subset, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    host: str
    subset: str = ""
    port: int = 0
    """0: the port the request came to."""
    weight: int = WHOLE


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRoute:
    name: str
    destinations: tuple[Destination, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VirtualService:
    KIND: ClassVar[str] = "VirtualService"

    metadata: Metadata
    hosts: tuple[str, ...]
    gateways: tuple[str, ...] = (MESH_GATEWAY,)
    http: tuple[HttpRoute, ...] = ()


def read_destination_rule(at: Field) -> DestinationRule:
    at.leave("status")
    spec = at["spec"]
    return DestinationRule(
        metadata=read_metadata(at["metadata"]),
        host=spec["host"].text(),
        subsets=tuple(
            Subset(name=subset["name"].text(), labels=subset["labels"].labels()) for subset in spec["subsets"]
        ),
    )


def read_virtual_service(at: Field) -> VirtualService:
    at.leave("status")
    spec = at["spec"]
    hosts = spec["hosts"].texts()
    for route in spec["http"]:
        if _MATCH in route:
            # Served without its match it would take every request: it is left out, and the match is named.
            route.leave("name", "route")
    if not hosts:
        raise spec["hosts"].bad("write at least one host name")
    return VirtualService(
        metadata=read_metadata(at["metadata"]),
        hosts=hosts,
        gateways=spec["gateways"].texts() or (MESH_GATEWAY,),
        http=tuple(_read_route(route) for route in spec["http"] if _MATCH not in route),
    )


def _read_route(at: Field) -> HttpRoute:
    destinations = tuple(_read_destination(each, alone=len(list(at["route"])) == 1) for each in at["route"])
    if not destinations:
        raise at["route"].bad("write at least one destination")
    if not any(destination.weight for destination in destinations):
        raise at["route"].bad("give at least one destination a weight above 0")
    return HttpRoute(name=at["name"].text(""), destinations=destinations)


def _read_destination(at: Field, *, alone: bool) -> Destination:
    to = at["destination"]
    return Destination(
        host=to["host"].text(),
        subset=to["subset"].text(""),
        port=to["port"]["number"].port(0) if not to["port"].absent else 0,
        weight=at["weight"].number(WHOLE if alone else 0, most=WHOLE),
    )
