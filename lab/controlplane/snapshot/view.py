"""The mesh as one proxy sees it: services it may reach, addresses it knows them by, ports it serves itself.

Owns:      everything that depends on who asks. What comes after only writes it down as Envoy configuration.
Does not:  know Envoy.
Surprise:  there are two lists of services. Listeners, routes and names are made of every document that claims
           a host, and each of its addresses; clusters of one service a host, in which they are merged.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, TypeVar, cast

from lab.controlplane import addresses
from lab.controlplane.kinds.destination_rule import DestinationRule
from lab.controlplane.kinds.gateway import Gateway
from lab.controlplane.kinds.protocol import Protocol
from lab.controlplane.kinds.service_entry import ServicePort
from lab.controlplane.kinds.virtual_service import MESH_GATEWAY, VirtualService
from lab.controlplane.mesh import Mesh
from lab.controlplane.proxy import Proxy
from lab.controlplane.registry import World
from lab.controlplane.services import Service, services
from lab.controlplane.snapshot import names
from lab.controlplane.snapshot.authentication import Modes, Policies
from lab.controlplane.snapshot.families import Families, families
from lab.controlplane.snapshot.precedence import in_order, merged, of_one_namespace, rank
from lab.controlplane.snapshot.rules import Rules
from lab.controlplane.snapshot.virtual_services import for_gateway, visible
from lab.controlplane.workloads import Instance, Workloads

ROUTER: Final = "router"

Made = TypeVar("Made")


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One service as this proxy sees it."""

    service: Service
    address: str
    """The address or range applications reach it by; 0.0.0.0 when only its name tells it apart."""
    instances: tuple[Instance, ...]
    rule: DestinationRule | None = None
    more_addresses: tuple[str, ...] = ()
    """Of the other family, for a proxy that has both."""

    @property
    def host(self) -> str:
        return self.service.host

    @property
    def everywhere(self) -> bool:
        return self.address == names.ANY_ADDRESS

    @property
    def is_range(self) -> bool:
        return "/" in self.address

    def once(self, about: Hashable, make: Callable[[], Made]) -> Made:
        """What follows from this service, as this proxy sees it, and from ``about``: made the first time,
        since a service outlives most changes of the mesh."""
        known = self._made.get(about)
        if known is None:
            known = self._made[about] = make()
        return cast("Made", known)

    @cached_property
    def _made(self) -> dict[Hashable, object]:
        return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnPort:
    """A port the proxy's own workload serves, and the services that lead to it (the first one names it)."""

    number: int
    protocol: Protocol
    services: tuple[tuple[Service, ServicePort], ...]
    rule: DestinationRule | None = None


@dataclass(frozen=True, kw_only=True)
class View:
    mesh: Mesh
    proxy: Proxy
    families: Families
    listened: tuple[Seen, ...]
    """One per document, host and address."""
    services: tuple[Seen, ...]
    """One per host."""
    own: tuple[OwnPort, ...]
    modes: Modes
    """Of mutual TLS, on the proxy's own ports."""
    policies: Policies
    virtual_services: tuple[VirtualService, ...]
    """All that this proxy sees, for sidecars and for gateways."""
    gateways: tuple[Gateway, ...] = ()
    """Those whose selector means this router, oldest first."""
    targets: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    """Of a router: where it listens for a port of its own Service."""
    own_hosts: frozenset[str] = frozenset()
    """Of every service that has this proxy's own workload behind it, seen or not."""
    problems: tuple[str, ...] = ()
    """Of the mesh as a whole, one line each."""
    lost: tuple[tuple[str, str], ...] = ()
    """Hosts of which a document is left out, and the line that says so."""

    @property
    def warnings(self) -> tuple[str, ...]:
        return (*self.problems, *(line for _, line in self.lost))

    @property
    def router(self) -> bool:
        return self.proxy.role == ROUTER

    @cached_property
    def for_sidecars(self) -> tuple[VirtualService, ...]:
        return for_gateway(self.virtual_services, MESH_GATEWAY)

    @cached_property
    def by_host(self) -> Mapping[str, Seen]:
        return {each.host: each for each in self.services}

    def ports(self) -> Iterator[tuple[Seen, ServicePort]]:
        for seen in self.services:
            for port in seen.service.ports:
                if port.protocol is not Protocol.UDP:
                    yield seen, port


def view(world: World, proxy: Proxy, mesh: Mesh) -> View:
    every, problems = services(world, mesh)
    own_families = families(proxy, mesh)
    workloads, rules, policies = Workloads(world, mesh), Rules.of(world, mesh), Policies.of(world, mesh)
    shown = sorted(
        (each for each in every if each.visible_from(proxy.namespace)), key=lambda each: rank(each, proxy)
    )
    listened = shown if proxy.role == ROUTER else of_one_namespace(shown, proxy)

    same: dict[tuple[str, str], list[Service]] = {}
    for each in every:
        same.setdefault((each.host, each.namespace), []).append(each)

    def seen(service: Service) -> Seen:
        address, *more = _addresses(service, own_families, allocated=addresses.may_use(proxy, mesh))
        return Seen(
            service=service,
            address=address,
            more_addresses=tuple(more),
            instances=workloads.of_host(service, same[service.host, service.namespace]),
            rule=rules.outbound(service, proxy),
        )

    seen_listened = {id(each): seen(each) for each in listened}
    chosen, lost = merged(listened)
    own = list(_own(every, workloads, proxy))
    return View(
        mesh=mesh,
        proxy=proxy,
        families=own_families,
        listened=tuple(seen_listened.values()),
        services=tuple(seen_listened.get(id(each)) or seen(each) for each in chosen),
        own=() if proxy.role == ROUTER else tuple(_own_ports(own, rules, proxy)),
        modes=policies.of_workload(proxy.namespace, proxy.labels),
        policies=policies,
        virtual_services=visible(world, proxy, mesh),
        gateways=_gateways(world, proxy),
        targets=_targets(own) if proxy.role == ROUTER else {},
        own_hosts=frozenset(service.host for service, _ in own),
        problems=problems,
        lost=in_order(lost),
    )


def _addresses(service: Service, own: Families, *, allocated: bool) -> tuple[str, ...]:
    """At least one, and of a family that the proxy has, where there is a choice."""
    if service.addresses:
        return own.fitting(service.addresses) or service.addresses[:1]
    return (own.fitting(service.allocated) if allocated else ()) or (names.ANY_ADDRESS,)


_Own = tuple[Service, Instance]
"""A service, and the proxy's own workload behind it."""


def _own(every: Iterable[Service], workloads: Workloads, proxy: Proxy) -> Iterator[_Own]:
    for service in every:
        if service.namespace == proxy.namespace:
            for instance in workloads.behind(service):
                if instance.address in proxy.ips:
                    yield service, instance


def _own_ports(own: Iterable[_Own], rules: Rules, proxy: Proxy) -> Iterator[OwnPort]:
    found: dict[int, list[tuple[Service, ServicePort]]] = {}
    for service, instance in own:
        for port in service.ports:
            number = instance.port(port)
            if number and port.protocol is not Protocol.UDP:
                found.setdefault(number, []).append((service, port))
    for number in sorted(found):
        first, port = found[number][0]
        yield OwnPort(
            number=number,
            protocol=port.protocol,
            services=tuple(found[number]),
            rule=rules.inbound(first, proxy),
        )


def _targets(own: Iterable[_Own]) -> dict[int, tuple[int, ...]]:
    found: dict[int, set[int]] = {}
    for service, instance in own:
        for port in service.ports:
            number = instance.port(port)
            if number:
                found.setdefault(port.number, set()).add(number)
    return {port: tuple(sorted(numbers)) for port, numbers in found.items()}


def _gateways(world: World, proxy: Proxy) -> tuple[Gateway, ...]:
    if proxy.role != ROUTER:
        return ()
    meant = (
        each
        for each in world.all(Gateway)
        if all(proxy.labels.get(key) == value for key, value in each.selector.items())
    )
    return tuple(
        sorted(meant, key=lambda each: (each.metadata.created, each.metadata.name, each.metadata.namespace))
    )
