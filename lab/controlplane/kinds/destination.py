"""Where a route of a VirtualService sends something, and what changes in the headers on the way."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from lab.controlplane.kinds.document import Field


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderChanges:
    set: Mapping[str, str] = field(default_factory=dict)
    add: Mapping[str, str] = field(default_factory=dict)
    remove: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Headers:
    request: HeaderChanges = field(default_factory=HeaderChanges)
    response: HeaderChanges = field(default_factory=HeaderChanges)


NO_HEADERS: Final = Headers()


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    host: str
    subset: str = ""
    port: int = 0
    """0: the service's only port, else the port the request came to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightedDestination:
    destination: Destination
    weight: int = 0
    headers: Headers = NO_HEADERS


def check_weights(route: Sequence[WeightedDestination], at: Field) -> None:
    if len(route) > 1 and not any(each.weight for each in route):
        raise at.bad("total destination weight = 0: give at least one destination a weight")


def read_destination(at: Field) -> Destination:
    if at.absent:
        raise at.bad("destination is required")
    host = at["host"].host(wildcard=True)
    if host == "*":
        raise at["host"].bad("invalid destination host *")
    return Destination(host=host, subset=at["subset"].text(""), port=at["port"]["number"].port(0))


def read_weight(at: Field) -> int:
    return at["weight"].number(0)


def read_headers(at: Field) -> Headers:
    def changes(side: Field) -> HeaderChanges:
        return HeaderChanges(
            set=side["set"].labels(), add=side["add"].labels(), remove=side["remove"].texts()
        )

    return Headers(request=changes(at["request"]), response=changes(at["response"]))
