"""The mesh as one proxy sees it: services it may reach, addresses it knows them by, ports it serves itself.

Owns:      everything that depends on who asks. What comes after only writes it down as Envoy configuration.
Does not:  know Envoy.
Surprise:  there are two lists of services. Listeners, routes and names are made of every document that claims
           a host, and each of its addresses; clusters of one service a host, in which they are merged.
"""

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

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
from lab.controlplane.snapshot.rules import Rules
from lab.controlplane.snapshot.virtual_services import for_gateway, visible
from lab.controlplane.workloads import Instance, Workloads

ROUTER: Final = "router"


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One service as this proxy sees it."""

    service: Service
    address: str
    """The address or range applications reach it by; 0.0.0.0 when only its name tells it apart."""
    instances: tuple[Instance, ...]
    rule: DestinationRule | None = None

    @property
    def host(self) -> str:
        return self.service.host

    @property
    def everywhere(self) -> bool:
        return self.address == names.ANY_ADDRESS

    @property
    def is_range(self) -> bool:
        return "/" in self.address


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
    warnings: tuple[str, ...] = ()

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
    workloads, rules, policies = Workloads(world, mesh), Rules.of(world, mesh), Policies.of(world, mesh)
    shown = sorted(
        (each for each in every if each.visible_from(proxy.namespace)), key=lambda each: _rank(each, proxy)
    )
    listened = shown if proxy.role == ROUTER else _of_one_namespace(shown, proxy)

    same: dict[tuple[str, str], list[Service]] = {}
    for each in every:
        same.setdefault((each.host, each.namespace), []).append(each)

    def seen(service: Service) -> Seen:
        return Seen(
            service=service,
            address=_address(service, proxy, mesh),
            instances=workloads.of_host(service, same[service.host, service.namespace]),
            rule=rules.outbound(service, proxy),
        )

    seen_listened = {id(each): seen(each) for each in listened}
    merged, lost = _merged(listened)
    own = [each for each in every if each.namespace == proxy.namespace]
    return View(
        mesh=mesh,
        proxy=proxy,
        listened=tuple(seen_listened.values()),
        services=tuple(seen_listened.get(id(each)) or seen(each) for each in merged),
        own=() if proxy.role == ROUTER else tuple(_own_ports(own, workloads, rules, proxy)),
        modes=policies.of_workload(proxy.namespace, proxy.labels),
        policies=policies,
        virtual_services=visible(world, proxy, mesh),
        gateways=_gateways(world, proxy),
        targets=_targets(own, workloads, proxy) if proxy.role == ROUTER else {},
        warnings=(*problems, *lost),
    )


def _rank(service: Service, proxy: Proxy) -> tuple[int, tuple[str, str, str, str]]:
    """As istiod lists them: the namespace's own private ones, those shown to it by name, those shown to
    all."""
    if "*" in service.export_to:
        return 2, service.order
    return 0 if service.namespace == proxy.namespace else 1, service.order


def _of_one_namespace(shown: Iterable[Service], proxy: Proxy) -> list[Service]:
    """All documents of a host that count: those of the first namespace that has it, the proxy's own before
    others, a Kubernetes Service before an entry of elsewhere."""
    chosen: dict[str, Service] = {}
    shown = list(shown)
    for each in shown:
        first = chosen.setdefault(each.host, each)
        foreign = first.namespace != proxy.namespace
        if each.namespace == proxy.namespace or (each.kubernetes and not first.kubernetes and foreign):
            chosen[each.host] = each
    return [each for each in shown if each.namespace == chosen[each.host].namespace]


def _merged(listened: Iterable[Service]) -> tuple[list[Service], list[str]]:
    """One service a host: the first, with the ports of those like it that it has not. Kubernetes' own
    wins."""
    merged: dict[str, Service] = {}
    lost = []
    for each in listened:
        first = merged.get(each.host)
        if first is None or (each.kubernetes and not first.kubernetes):
            merged[each.host] = each
        elif _alike(first, each):
            numbers = {port.number for port in first.ports}
            more = tuple(port for port in each.ports if port.number not in numbers)
            merged[each.host] = replace(first, ports=first.ports + more) if more else first
        elif each.document is not first.document:
            lost.append(_lost(each, first))
    return list(merged.values()), lost


def _lost(service: Service, first: Service) -> str:
    which = f"{service.host} is already served by {_called(first)}"
    return f"{_called(service)}: {which}: of this one only endpoints count"


def _alike(one: Service, other: Service) -> bool:
    """Two documents of one host are taken as one service."""
    return (
        one.registry is other.registry
        and one.namespace == other.namespace
        and one.resolution is other.resolution
        and one.labels == other.labels
        and one.selector == other.selector
        and set(one.export_to) == set(other.export_to)
    )


def _called(service: Service) -> str:
    about = service.document.metadata
    return f"{service.document.KIND} {about.namespace}/{about.name}"


def _address(service: Service, proxy: Proxy, mesh: Mesh) -> str:
    """Of a family that the proxy has, where there is a choice."""
    if len(service.addresses) == 1:
        return service.addresses[0]
    families = {ipaddress.ip_address(each).version for each in proxy.ips}
    fitting = (
        each for each in service.addresses if ipaddress.ip_network(each, strict=False).version in families
    )
    if service.addresses:
        return next(fitting, service.addresses[0])
    if service.allocated and addresses.may_use(proxy, mesh):
        return service.allocated
    return names.ANY_ADDRESS


def _own_ports(own: Iterable[Service], workloads: Workloads, rules: Rules, proxy: Proxy) -> Iterator[OwnPort]:
    found: dict[int, list[tuple[Service, ServicePort]]] = {}
    for service in own:
        for instance in workloads.behind(service):
            if instance.address not in proxy.ips:
                continue
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


def _targets(own: Iterable[Service], workloads: Workloads, proxy: Proxy) -> dict[int, tuple[int, ...]]:
    found: dict[int, set[int]] = {}
    for service in own:
        for instance in workloads.behind(service):
            for port in service.ports if instance.address in proxy.ips else ():
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
