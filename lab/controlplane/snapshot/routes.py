"""Route tables of sidecars: which host goes to which cluster. One per HTTP port outbound, one per own port
inbound.

Surprise:  a VirtualService for a host that no service has takes effect on port 80 alone. That is istiod's
           way, and the documents' trap: a short name of a VirtualService lands there.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple, Self

from envoy.config.route.v3.route_components_pb2 import Route, RouteAction, VirtualHost
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from google.protobuf import any_pb2

from lab.controlplane import type_urls
from lab.controlplane.hosts import is_wildcard, matches
from lab.controlplane.kinds.protocol import Protocol
from lab.controlplane.kinds.service_entry import Resolution
from lab.controlplane.kinds.virtual_service import MESH_GATEWAY, VirtualService
from lab.controlplane.snapshot import names
from lab.controlplane.snapshot.domains import Domains, Wanted, domains_of
from lab.controlplane.snapshot.http_routes import DEFAULT, Asked, governed, plain
from lab.controlplane.snapshot.packing import seconds
from lab.controlplane.snapshot.route_match import route_match
from lab.controlplane.snapshot.view import Seen, View
from lab.controlplane.snapshot.virtual_services import closest_by_host

_ALLOW_ANY: Final = "allow_any"
_BLOCK_ALL: Final = "block_all"
"""The virtual host of everything the mesh does not know, by outboundTrafficPolicy."""
_UNKNOWN_HOST: Final = 502

_RETRIES: Final = 2
_RETRY_INBOUND_ON: Final = "reset-before-request"
"""Only what certainly never reached the application."""
_DIRECT_RESPONSE_BYTES: Final = 2**20
_OF_HOSTS_ALONE: Final = 80
"""The port on which hosts of VirtualServices count that no service has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """Hosts that share routes, on one port."""

    port: int
    hosts: tuple[str, ...] = ()
    """Of a VirtualService, that no service has."""
    services: tuple[Seen, ...] = ()
    routes: list[Route]


class Hosted(NamedTuple):
    """A virtual host, and the bytes it is in a table: those of ten thousand are put one after another, which
    is what a message is, and much faster than to make a message of ten thousand."""

    host: VirtualHost
    piece: bytes

    @classmethod
    def of(cls, host: VirtualHost) -> Self:
        return cls(host, RouteConfiguration(virtual_hosts=[host]).SerializeToString(deterministic=True))


Table = tuple[str, any_pb2.Any]
"""Name and RouteConfiguration."""


def routes(view: View) -> Iterator[Table]:
    ports = (port for seen in view.listened for port in seen.service.ports)
    numbers = sorted({port.number for port in ports if port.protocol.routed})
    for number in numbers:
        hosts = virtual_hosts(view, number)
        yield table(str(number), [*hosts, _unknown(view)])
        yield from _alone(view, number, hosts)
    if view.mesh.http_proxy_port:
        yield table(names.HTTP_PROXY, [*virtual_hosts(view, 0), _unknown(view)])


def empty_table(view: View, name: str) -> any_pb2.Any:
    """Of a port on which no service is."""
    return table(name, [_unknown(view)])[1]


def table(name: str, hosts: Iterable[Hosted]) -> Table:
    first = RouteConfiguration(name=name).SerializeToString(deterministic=True)
    value = b"".join((first, *(each.piece for each in hosts), _REST))
    return name, any_pb2.Any(type_url=type_urls.ROUTE, value=value)


_REST: Final = RouteConfiguration(
    validate_clusters={"value": False},
    max_direct_response_body_size_bytes={"value": _DIRECT_RESPONSE_BYTES},
    ignore_port_in_host_matching=True,
).SerializeToString(deterministic=True)
"""What every table ends with: fields in the order of their numbers, as a whole message has them."""


def inbound_routes(*, name: str, port: int, cluster: str, operation: str) -> RouteConfiguration:
    """Everything that arrives on the port goes to the application. Pass-through chains have port 0."""
    action = RouteAction(
        cluster=cluster,
        timeout=seconds(0),
        retry_policy={"retry_on": _RETRY_INBOUND_ON, "num_retries": {"value": _RETRIES}},
        max_stream_duration={"max_stream_duration": seconds(0), "grpc_timeout_header_max": seconds(0)},
    )
    route = Route(name=DEFAULT, match=route_match(None), route=action)
    route.decorator.operation = operation
    host = VirtualHost(name=f"inbound|http|{port}", domains=["*"], routes=[route])
    return RouteConfiguration(name=name, virtual_hosts=[host], validate_clusters={"value": False})


def virtual_hosts(view: View, number: int) -> list[Hosted]:
    """Of one port; 0 stands for all of them, told apart by the port a client writes behind the host."""
    # Of a host with several documents or addresses the last one counts.
    there = {
        seen.host: seen
        for seen in sorted(view.listened, key=lambda each: each.host)
        if not number or seen.service.port(number)
    }
    groups = list(_governed_groups(view, number, there))
    governed = {seen.host for group in groups for seen in group.services}
    own = [
        each
        for host, seen in there.items()
        if host not in governed
        for each in seen.once(("own", number), partial(_own, view, seen, number))
    ]
    domains = Domains(governed | {each.host for each in own})
    found: list[Hosted] = []
    for group in groups:
        for host in group.hosts:
            found += _virtual_host(group, domains, Wanted(host, group.port, [host]), number)
        for seen in group.services:
            found += _virtual_host(group, domains, _wanted(view, seen, group.port, number), number)
    for each in own:
        found += each.virtual_host(domains)
    return sorted(found, key=lambda each: each.host.name)


class _Own:
    """A service that no VirtualService says anything about, on one of its ports. It outlives most changes of
    the mesh, and with it its virtual host, of which nothing changes unless somebody else takes a domain."""

    def __init__(self, group: _Group, host: str, wanted: Wanted, number: int) -> None:
        self._group, self.host, self._wanted, self._number = group, host, wanted, number
        self._whole = _made(group, wanted.name, _meant(wanted.domains, group, number))

    def virtual_host(self, domains: Domains) -> list[Hosted]:
        """None if no domain is left."""
        claimed = domains.claimed(self._wanted)
        if claimed is self._wanted.domains:
            return self._whole
        return _made(self._group, self._wanted.name, _meant(claimed, self._group, self._number))


def _own(view: View, seen: Seen, number: int) -> list[_Own]:
    found = []
    for port in seen.service.ports:
        if port.number == (number or port.number) and port.protocol.routed:
            group = _Group(port=port.number, services=(seen,), routes=[plain(view, seen, port)])
            found.append(_Own(group, seen.host, _wanted(view, seen, port.number, number), number))
    return found


def _wanted(view: View, seen: Seen, port: int, number: int) -> Wanted:
    return Wanted(seen.host, port, domains_of(view, seen, 0 if number else port))


def _virtual_host(group: _Group, domains: Domains, wanted: Wanted, number: int) -> list[Hosted]:
    return _made(group, wanted.name, _meant(domains.claimed(wanted), group, number))


def _made(group: _Group, name: str, domains: tuple[str, ...]) -> list[Hosted]:
    """None if no domain is left."""
    made = VirtualHost(name=name, domains=domains, routes=group.routes, include_request_attempt_count=True)
    return [Hosted.of(made)] if domains else []


def _meant(domains: tuple[str, ...], group: _Group, number: int) -> tuple[str, ...]:
    """Beside port 80, a host without its port means nothing in a table of all ports."""
    if number or group.port == _OF_HOSTS_ALONE:
        return domains
    return tuple(each for each in domains if ":" in each)


def _governed_groups(view: View, number: int, there: dict[str, Seen]) -> Iterator[_Group]:
    services = view.for_sidecars
    if number != _OF_HOSTS_ALONE:
        services = tuple(each for each in services if _meets(each, there))
    closest = closest_by_host(view.for_sidecars, there)
    for service in services:
        yield from _governed(view, service, number, there, closest)


def _meets(service: VirtualService, there: Iterable[str]) -> bool:
    return any(matches(mine, host) for mine in service.hosts for host in there)


def _governed(
    view: View,
    service: VirtualService,
    number: int,
    there: dict[str, Seen],
    closest: Mapping[str, VirtualService],
) -> Iterator[_Group]:
    made = governed(Asked(view=view, gateway=MESH_GATEWAY, port=number, known=frozenset(there)), service)
    if not made:
        return
    alone, found = _split(service, there, closest)
    by_port: dict[int, list[Seen]] = {}
    for seen in found:
        for port in seen.service.ports:
            if port.number == (number or port.number) and port.protocol.routed:
                by_port.setdefault(port.number, []).append(seen)
    if not by_port and number == _OF_HOSTS_ALONE:
        by_port[number] = []
    for port_number, group in by_port.items():
        yield _Group(port=port_number, hosts=tuple(alone), services=tuple(group), routes=made)


def _split(
    service: VirtualService, there: dict[str, Seen], closest: Mapping[str, VirtualService]
) -> tuple[list[str], list[Seen]]:
    """Hosts that no service has, and services that one of the hosts means. Of a wildcard those alone for
    which no other VirtualService says more."""
    alone: list[str] = []
    found: dict[str, Seen] = {}
    for host in sorted(service.hosts, key=is_wildcard):
        if not is_wildcard(host):
            if host in there:
                found[host] = there[host]
            else:
                alone.append(host)
            continue
        met = [each for each in there if matches(each, host)]
        found |= {each: there[each] for each in met if closest.get(each) is service}
        if not met:
            alone.append(host)
    return alone, list(found.values())


def _alone(view: View, number: int, hosts: list[Hosted]) -> Iterator[Table]:
    """Tables of services on addresses of their own, or their endpoints', whose protocol is found out: there
    the host does not matter."""
    alone: dict[str, Seen] = {}
    for seen in view.listened:
        port = seen.service.port(number)
        on_its_own = not seen.everywhere or seen.service.resolution is Resolution.NONE
        if port is not None and port.protocol is Protocol.AUTO and on_its_own:
            alone.setdefault(seen.host, seen)
    for seen in alone.values():
        own = [
            VirtualHost.FromString(each.SerializeToString()) for each, _ in hosts if seen.host in each.domains
        ]
        if len(own) == 1:
            own[0].domains[:] = ["*"]
        yield table(names.virtual_host(seen.host, number), map(Hosted.of, own))


def _unknown(view: View) -> Hosted:
    name = _ALLOW_ANY if view.mesh.allow_any else _BLOCK_ALL
    route = Route(name=name, match=route_match(None))
    if view.mesh.allow_any:
        route.route.CopyFrom(
            RouteAction(cluster=names.PASSTHROUGH, timeout=seconds(0), max_grpc_timeout=seconds(0))
        )
    else:
        route.direct_response.status = _UNKNOWN_HOST
    host = VirtualHost(name=name, domains=["*"], routes=[route], include_request_attempt_count=True)
    return Hosted.of(host)
