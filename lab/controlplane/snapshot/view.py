"""The mesh as one proxy sees it: services it may reach, addresses it knows them by, ports it serves itself.

Owns:      everything that depends on who asks. What comes after only writes it down as Envoy configuration.
Does not:  know Envoy.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lab.controlplane import addresses
from lab.controlplane.kinds.routing import MESH_GATEWAY, DestinationRule, VirtualService
from lab.controlplane.kinds.service_entry import Protocol, ServicePort
from lab.controlplane.mesh import Mesh
from lab.controlplane.proxy import Proxy
from lab.controlplane.registry import Instance, Registry, Service, World
from lab.controlplane.snapshot import names


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One service as this proxy sees it."""

    service: Service
    addresses: tuple[str, ...]
    """Addresses and ranges applications reach it by; empty when only its name tells it apart."""
    instances: tuple[Instance, ...]
    rule: DestinationRule | None = None

    @property
    def host(self) -> str:
        return self.service.host

    @property
    def single_addresses(self) -> tuple[str, ...]:
        return tuple(address for address in self.addresses if "/" not in address)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnPort:
    """A port the proxy's own workload serves, and the services that lead to it (the first one names it)."""

    number: int
    protocol: Protocol
    services: tuple[tuple[Service, ServicePort], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    mesh: Mesh
    proxy: Proxy
    services: tuple[Seen, ...]
    """One per host."""
    own: tuple[OwnPort, ...]
    virtual_services: tuple[VirtualService, ...]
    """Those that apply to sidecars, oldest first."""
    warnings: tuple[str, ...] = ()

    def hosts(self, virtual_service: VirtualService) -> tuple[str, ...]:
        return tuple(
            names.absolute(host, virtual_service.metadata.namespace, self.mesh.dns_domain)
            for host in virtual_service.hosts
        )

    def ports(self) -> Iterator[tuple[Seen, ServicePort]]:
        for seen in self.services:
            for port in seen.service.ports:
                yield seen, port

    def http_ports(self) -> list[int]:
        """Port numbers on which requests are told apart by host: one listener and one route table each."""
        return sorted({port.number for _, port in self.ports() if port.protocol.http})


def view(world: World, proxy: Proxy, mesh: Mesh) -> View:
    registry = Registry(world, mesh)
    every = registry.services()
    services, doubles = _by_host([each for each in every if each.entry.visible_from(proxy.namespace)], proxy)
    seen = tuple(
        Seen(
            service=service,
            addresses=_addresses(service, proxy, mesh),
            instances=registry.instances(service),
            rule=_rule(world, service, proxy, mesh),
        )
        for service in services
    )
    return View(
        mesh=mesh,
        proxy=proxy,
        services=seen,
        own=_own_ports(registry, every, proxy),
        virtual_services=tuple(each for each in world.all(VirtualService) if MESH_GATEWAY in each.gateways),
        warnings=(*doubles, *_unreachable(seen)),
    )


def _by_host(services: Iterable[Service], proxy: Proxy) -> tuple[list[Service], list[str]]:
    """The first of each host, the proxy's own namespace before others."""
    chosen: dict[str, Service] = {}
    warnings = []
    for service in sorted(services, key=lambda each: each.namespace != proxy.namespace):
        first = chosen.setdefault(service.host, service)
        if first is not service:
            entry, other = service.entry.metadata, first.entry.metadata
            warnings.append(
                f"ServiceEntry {entry.namespace}/{entry.name}: {service.host} is already served by "
                f"{other.namespace}/{other.name}: this one is left out"
            )
    return list(chosen.values()), warnings


def _addresses(service: Service, proxy: Proxy, mesh: Mesh) -> tuple[str, ...]:
    if service.entry.addresses:
        return service.entry.addresses
    return (service.allocated,) if service.allocated and addresses.may_use(proxy, mesh) else ()


def _rule(world: World, service: Service, proxy: Proxy, mesh: Mesh) -> DestinationRule | None:
    """The rule for the host: the client's namespace decides first, then the service's, then any."""
    rules = [
        rule
        for rule in world.all(DestinationRule)
        if names.absolute(rule.host, rule.metadata.namespace, mesh.dns_domain) == service.host
    ]
    order = {service.namespace: 1, proxy.namespace: 0}
    return min(rules, key=lambda rule: order.get(rule.metadata.namespace, 2), default=None)


def _own_ports(registry: Registry, services: Iterable[Service], proxy: Proxy) -> tuple[OwnPort, ...]:
    found: dict[int, list[tuple[Service, ServicePort]]] = {}
    for service in services:
        if service.namespace != proxy.namespace:
            continue
        for instance in registry.instances(service):
            if instance.address in proxy.ips:
                for port in service.ports:
                    found.setdefault(instance.port(port), []).append((service, port))
    return tuple(
        OwnPort(number=number, protocol=found[number][0][1].protocol, services=tuple(found[number]))
        for number in sorted(found)
    )


def _unreachable(services: Iterable[Seen]) -> Iterator[str]:
    for seen in services:
        about = seen.service.entry.metadata
        for port in seen.service.ports:
            if not port.protocol.http and not seen.single_addresses:
                what = f"{seen.host}:{port.number} ({port.protocol})"
                yield (
                    f"ServiceEntry {about.namespace}/{about.name}: {what} gets no listener: without a single "
                    "address nothing tells its connections apart"
                )
