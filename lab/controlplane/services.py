"""The services of a mesh, whatever they were written as: one value per document, host and address.

Owns:      what a ServiceEntry and a Kubernetes Service mean in common, and the order in which they count.
Does not:  find endpoints (workloads.py), choose for a proxy (snapshot/scope.py) or know Envoy.
Surprise:  who was there first wins every conflict. Age is what creationTimestamp says; documents without one
           are of one age, and then the name decides, so that equal files mean equal meshes.
"""

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import product

from lab.controlplane import addresses
from lab.controlplane.kinds.kubernetes_service import KubernetesService
from lab.controlplane.kinds.metadata import shown_to
from lab.controlplane.kinds.service_entry import Resolution, ServiceEntry, ServicePort
from lab.controlplane.mesh import Mesh
from lab.controlplane.registry import World


class Registry(StrEnum):
    """Where istiod says that a name comes from."""

    EXTERNAL = "External"
    KUBERNETES = "Kubernetes"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    host: str
    namespace: str
    name: str
    """The Service's own name; of a ServiceEntry, the host."""
    registry: Registry
    ports: tuple[ServicePort, ...]
    resolution: Resolution
    external: bool = False
    addresses: tuple[str, ...] = ()
    """The address or range somebody wrote down. A Service of Kubernetes may have one of each family; every
    address of a ServiceEntry makes a service of its own."""
    allocated: tuple[str, ...] = ()
    """Its addresses of 240.240.0.0/16 and of 2001:2::/48, for proxies that may use them; empty for a service
    that needs none."""
    export_to: tuple[str, ...] = ("*",)
    selector: Mapping[str, str] | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    subject_alt_names: tuple[str, ...] = ()
    created: str = ""
    document: ServiceEntry | KubernetesService

    @property
    def order(self) -> tuple[str, str, str, str]:
        return self.created, self.name, self.namespace, self.document.metadata.name

    @property
    def kubernetes(self) -> bool:
        return self.registry is Registry.KUBERNETES

    def visible_from(self, namespace: str) -> bool:
        return shown_to(self.export_to, own=self.namespace, namespace=namespace)

    def port(self, number: int) -> ServicePort | None:
        return next((each for each in self.ports if each.number == number), None)


def services(world: World, mesh: Mesh) -> tuple[tuple[Service, ...], tuple[str, ...]]:
    """All of them, oldest first, and what went wrong, one line each."""
    entries = world.all(ServiceEntry)
    given, problems = addresses.allocate(entries, world.leases, mesh.allocation)
    twins = {key: addresses.both(address, mesh.allocation) for key, address in given.items()}
    found = [each for entry in entries for each in _of_entry(entry, twins)]
    found += [each for document in world.all(KubernetesService) for each in _of_kubernetes(document, mesh)]
    return tuple(sorted(found, key=lambda each: each.order)), problems


def _of_entry(
    entry: ServiceEntry, given: Mapping[addresses.ServiceKey, tuple[str, ...]]
) -> Iterator[Service]:
    about = entry.metadata
    for host, address in product(entry.hosts, entry.addresses or ("",)):
        yield Service(
            host=host,
            namespace=about.namespace,
            name=host,
            registry=Registry.EXTERNAL,
            ports=entry.ports,
            resolution=entry.resolution,
            external=entry.external,
            addresses=(_single(address),) if address else (),
            allocated=given.get((about.namespace, about.name, host), ()),
            export_to=entry.export_to,
            selector=entry.selector,
            labels=about.labels,
            subject_alt_names=entry.subject_alt_names,
            created=about.created,
            document=entry,
        )


def _of_kubernetes(document: KubernetesService, mesh: Mesh) -> Iterator[Service]:
    about = document.metadata
    if document.external_name:
        return  # an alias, of which istiod makes neither listener nor cluster
    yield Service(
        host=f"{about.name}.{about.namespace}.svc.{mesh.dns_domain}",
        namespace=about.namespace,
        name=about.name,
        registry=Registry.KUBERNETES,
        ports=document.ports,
        resolution=Resolution.NONE if document.headless else Resolution.STATIC,
        addresses=document.addresses,
        export_to=document.export_to,
        selector=document.selector,
        labels=about.labels,
        created=about.created,
        document=document,
    )


def _single(address: str) -> str:
    """A range of one address is that address."""
    if "/" not in address:
        return address
    network = ipaddress.ip_network(address, strict=False)
    return str(network.network_address) if network.num_addresses == 1 else address
