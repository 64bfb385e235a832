"""What the mesh consists of: an immutable world of resources, and the services and workloads read out of it.

Owns:      which workloads stand behind a service, whether they serve, and how they are spoken to.
Does not:  know Envoy (snapshot/), proxies, files or the API.
Surprise:  a workload that is not healthy is still here, marked as not serving: it must keep its own inbound
           configuration, and its name must stay acceptable to clients, or every change of health would also
           be a change of clusters.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar, cast

from lab.controlplane import addresses
from lab.controlplane.addresses import Leases
from lab.controlplane.kinds.kubernetes import Pod
from lab.controlplane.kinds.service_entry import UNIX, Resolution, ServiceEntry, ServicePort
from lab.controlplane.kinds.workload import Workload, WorkloadEntry
from lab.controlplane.mesh import Mesh
from lab.controlplane.resources import Resource

TLS_MODE: Final = "security.istio.io/tlsMode"
"""The label by which a workload says how it wants to be spoken to."""
ISTIO: Final = "istio"
DISABLED: Final = "disabled"

Key = tuple[str, str, str]
"""Kind, namespace, name."""

Kind = TypeVar("Kind", bound=Resource)


class AlreadyThere(ValueError):
    """Two documents describe the same thing; kubectl would have overwritten the first without a word."""


def key_of(resource: Resource) -> Key:
    return resource.KIND, resource.metadata.namespace, resource.metadata.name


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """All resources, in order of appearance. Every change gives a new World; the old one stays as it was."""

    resources: Mapping[Key, Resource] = field(default_factory=dict)
    leases: Leases = field(default_factory=Leases)

    @classmethod
    def of(cls, resources: Iterable[Resource]) -> "World":
        """Raises `AlreadyThere` when two resources share kind, namespace and name."""
        return World().exchange((), resources)

    def get(self, kind: type[Kind], namespace: str, name: str) -> Kind | None:
        return cast("Kind | None", self.resources.get((kind.KIND, namespace, name)))

    def all(self, kind: type[Kind], namespace: str | None = None) -> tuple[Kind, ...]:
        """In order of appearance; ``None`` is every namespace."""
        found = (each for each in self.resources.values() if isinstance(each, kind))
        return tuple(each for each in found if namespace is None or each.metadata.namespace == namespace)

    def add(self, resource: Resource) -> "World":
        return self.exchange((), (resource,))

    def replace(self, resource: Resource) -> "World":
        """The new version of a resource that is there; it keeps its place. Raises KeyError otherwise."""
        if key_of(resource) not in self.resources:
            raise KeyError(key_of(resource))
        return self.exchange((key_of(resource),), (resource,))

    def remove(self, key: Key) -> "World":
        """Raises KeyError when it is not there."""
        if key not in self.resources:
            raise KeyError(key)
        return self.exchange((key,), ())

    def exchange(self, old: Iterable[Key], new: Iterable[Resource]) -> "World":
        """From what a file held to what it holds now; what is in both keeps its place and its address."""
        gone = set(old)
        resources: dict[Key, Resource | None] = {
            **self.resources,
            **dict.fromkeys(gone & self.resources.keys()),
        }
        for resource in new:
            key = key_of(resource)
            if resources.get(key) is not None:
                raise AlreadyThere(
                    f"{key[0]} {key[1]}/{key[2]} is already there: give one of the two another name"
                )
            resources[key] = resource
        kept = {key: resource for key, resource in resources.items() if resource is not None}
        if all(
            self.resources.get(key) is kept.get(key) for key in (*gone, *kept) if key[0] == ServiceEntry.KIND
        ):
            return replace(self, resources=kept)
        entries = [each for each in kept.values() if isinstance(each, ServiceEntry)]
        return replace(self, resources=kept, leases=addresses.renew(entries, self.leases))


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One host of one ServiceEntry."""

    entry: ServiceEntry
    host: str
    allocated: str = ""
    """Its address of 240.240.0.0/16, for proxies that may use it; empty for a service that needs none."""

    @property
    def namespace(self) -> str:
        return self.entry.metadata.namespace

    @property
    def ports(self) -> tuple[ServicePort, ...]:
        return self.entry.ports

    @property
    def resolution(self) -> Resolution:
        return self.entry.resolution


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One workload behind a service."""

    address: str
    labels: Mapping[str, str]
    ports: Mapping[str, int] = field(default_factory=dict)
    service_account: str = ""
    tls_mode: str = DISABLED
    weight: int = 1
    locality: str = ""
    name: str = ""
    """Name and namespace of the resource; both empty for an endpoint written into the ServiceEntry itself."""
    namespace: str = ""
    probed: bool = False
    """Kubernetes vouches for it (a ready pod), which a WorkloadEntry or an inline endpoint does not have."""
    serving: bool = True
    """Counts as an endpoint now."""

    @property
    def is_ip(self) -> bool:
        try:
            ipaddress.ip_address(self.address)
        except ValueError:
            return False
        return True

    @property
    def literal(self) -> bool:
        """Reached without resolving a name."""
        return self.is_ip or self.address.startswith(UNIX)

    def port(self, of: ServicePort) -> int:
        return self.ports.get(of.name, of.target)


@dataclass(frozen=True, slots=True)
class Registry:
    """The services of a world and their workloads, as one mesh configuration sees them."""

    world: World
    mesh: Mesh

    def services(self) -> tuple[Service, ...]:
        entries = self.world.all(ServiceEntry)
        given = addresses.allocate(entries, self.world.leases, self.mesh.allocation)
        return tuple(
            Service(
                entry=entry,
                host=host,
                allocated=given.get((entry.metadata.namespace, entry.metadata.name, host), ""),
            )
            for entry in entries
            for host in entry.hosts
        )

    def instances(self, service: Service) -> tuple[Instance, ...]:
        """Every workload that belongs to the service, serving or not, of its own namespace."""
        entry = service.entry
        if entry.selector is not None:
            selected = (
                each for each in self._workloads(service.namespace) if selects(entry.selector, each.labels)
            )
            if entry.resolution is not Resolution.STATIC:
                return tuple(selected)
            # A name is not an address: without resolution Envoy would refuse every endpoint of the cluster.
            return tuple(replace(each, serving=each.serving and each.literal) for each in selected)
        if not entry.endpoints and entry.resolution is Resolution.DNS:
            # Without endpoints, the host itself is the name to resolve.
            return (_of_workload(Workload(address=service.host), service.namespace),)
        return tuple(_of_workload(endpoint, service.namespace) for endpoint in entry.endpoints)

    def _workloads(self, namespace: str) -> Iterable[Instance]:
        for entry in self.world.all(WorkloadEntry, namespace):
            yield self._of_entry(entry)
        for pod in self.world.all(Pod, namespace):
            if pod.address:
                yield _of_pod(pod)

    def _of_entry(self, entry: WorkloadEntry) -> Instance:
        waits = self.mesh.health_checks and entry.health_checked and not entry.healthy
        instance = _of_workload(entry.spec, entry.metadata.namespace)
        labels = {**entry.spec.labels, **entry.metadata.labels}
        return replace(
            instance,
            labels=labels,
            tls_mode=_tls_mode(labels, istio=bool(entry.spec.service_account)),
            name=entry.metadata.name,
            namespace=entry.metadata.namespace,
            serving=not waits,
        )


def selects(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    return all(labels.get(key) == value for key, value in selector.items())


def _of_workload(workload: Workload, namespace: str) -> Instance:
    return Instance(
        address=workload.address,
        labels=workload.labels,
        ports=workload.ports,
        service_account=_account(namespace, workload.service_account),
        tls_mode=_tls_mode(workload.labels, istio=bool(workload.service_account)),
        weight=workload.weight or 1,
        locality=workload.locality,
    )


def _of_pod(pod: Pod) -> Instance:
    return Instance(
        address=pod.address,
        labels=pod.metadata.labels,
        service_account=_account(pod.metadata.namespace, pod.service_account),
        tls_mode=_tls_mode(pod.metadata.labels, istio=pod.sidecar),
        name=pod.metadata.name,
        namespace=pod.metadata.namespace,
        probed=True,
        serving=pod.ready,
    )


def _account(namespace: str, account: str) -> str:
    return f"{namespace}/{account}" if account else ""


def _tls_mode(labels: Mapping[str, str], *, istio: bool) -> str:
    return labels.get(TLS_MODE) or (ISTIO if istio else DISABLED)
