"""The workloads of a mesh, and which of them stand behind a service.

Owns:      whether a workload serves, on which port, and how it is spoken to.
Does not:  know Envoy (snapshot/), proxies, files or the API.
Surprise:  a workload that is not healthy is still here, marked as not serving: it must keep its own inbound
           configuration, and its name must stay acceptable to clients, or every change of health would also
           be a change of clusters.
"""

import ipaddress
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final

from lab.controlplane.kinds.kubernetes import DEFAULT_ACCOUNT, TLS_MODE, Pod
from lab.controlplane.kinds.kubernetes_service import (
    Backend,
    Backends,
    Endpoints,
    EndpointSlice,
    KubernetesService,
)
from lab.controlplane.kinds.service_entry import UNIX, Resolution, ServiceEntry, ServicePort
from lab.controlplane.kinds.workload import Workload, WorkloadEntry
from lab.controlplane.mesh import Mesh
from lab.controlplane.registry import World
from lab.controlplane.services import Service

ISTIO: Final = "istio"
DISABLED: Final = "disabled"
_LOCALITY_LABEL: Final = "istio-locality"
"""Its value has dots where a locality has slashes, which labels cannot hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One workload behind a service."""

    address: str
    labels: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)
    only: bool = False
    """Nothing but ``ports`` leads to it: what Kubernetes lists is all there is."""
    account: str | None = None
    """``<namespace>/<service account>``; the latter is empty for a pod nobody gave one."""
    tls_mode: str = DISABLED
    weight: int = 1
    locality: str = ""
    name: str = ""
    """Name and namespace of the resource; both empty for an endpoint written into the ServiceEntry itself."""
    namespace: str = ""
    hostname: str = ""
    subdomain: str = ""
    probed: bool = False
    """Kubernetes vouches for it (a ready pod), which a WorkloadEntry or an inline endpoint does not have."""
    serving: bool = True
    """Counts as an endpoint now."""

    @property
    def is_ip(self) -> bool:
        return _is_ip(self.address)

    @property
    def literal(self) -> bool:
        """Reached without resolving a name."""
        return self.is_ip or self.address.startswith(UNIX)

    def port(self, of: ServicePort) -> int | None:
        """Where it listens for a port of the service; None: not at all."""
        written = self.ports.get(of.name) or (self.ports.get(of.target_name) if of.target_name else None)
        if written or self.only:
            return written
        return of.target or of.number


class Workloads:
    """Of one world. Built once, asked for many services."""

    def __init__(self, world: World, mesh: Mesh) -> None:
        self._mesh = mesh
        self._pods = {(pod.metadata.namespace, pod.metadata.name): pod for pod in world.all(Pod)}
        self._entries = _Labelled(self._of_entry(entry) for entry in world.all(WorkloadEntry))
        self._ready_pods = _Labelled(self._of_pod(pod) for pod in world.all(Pod) if pod.address)
        self._backends: dict[tuple[str, str], list[Backends]] = defaultdict(list)
        for slice_ in world.all(EndpointSlice):
            self._backends[slice_.metadata.namespace, slice_.service] += slice_.groups
        for endpoints in world.all(Endpoints):
            # A cluster has both, and they say the same.
            self._backends.setdefault(
                (endpoints.metadata.namespace, endpoints.service), list(endpoints.groups)
            )

    def of_host(self, service: Service, services: Iterable[Service]) -> tuple[Instance, ...]:
        """Those behind any of ``services``, which share host and namespace: istiod keeps endpoints by these
        two, so that each document's are the others' too, on ports of the same name, and an entry with two
        addresses has each twice."""
        services = tuple(services)
        alone = all(each.document is service.document for each in services)
        found: list[Instance] = []
        for each in services:
            mine = self.behind(each)
            found += mine if alone else _through(mine, each.ports)
        if not service.resolution.by_name:
            # A name is not an address: Envoy would refuse all of the cluster's endpoints.
            found = [each if each.literal else replace(each, serving=False) for each in found]
        return tuple(found[:1] if service.resolution is Resolution.DNS_ROUND_ROBIN else found)

    def behind(self, service: Service) -> tuple[Instance, ...]:
        """Every workload that belongs to the service, serving or not."""
        if isinstance(service.document, KubernetesService):
            return tuple(self._of_kubernetes(service, service.document))
        return tuple(self._of_service_entry(service, service.document))

    def _of_service_entry(self, service: Service, entry: ServiceEntry) -> Iterator[Instance]:
        if entry.selector is not None:
            for group in (self._entries, self._ready_pods):
                yield from group.selected(service.namespace, entry.selector)
        elif not entry.endpoints and entry.resolution.by_name:
            yield Instance(address=service.host)  # the host itself is the name to resolve
        else:
            for endpoint in entry.endpoints:
                yield self._of_workload(endpoint, service.namespace)

    def _of_kubernetes(self, service: Service, document: KubernetesService) -> Iterator[Instance]:
        listed = self._backends.get((service.namespace, service.name), [])
        for group in listed:
            for backend in group.backends:
                yield self._of_backend(service.namespace, group, backend, document)
        if not document.selector:
            return
        for each in self._entries.selected(service.namespace, document.selector):
            if each.is_ip:
                yield each
        if not listed and self._mesh.admission:
            # What the endpoints controller of a cluster would have listed.
            yield from self._ready_pods.selected(service.namespace, document.selector)

    def _of_backend(
        self, namespace: str, group: Backends, backend: Backend, document: KubernetesService
    ) -> Instance:
        pod = self._pods.get((namespace, backend.pod))
        instance = self._of_pod(pod) if pod else Instance(address=backend.address, probed=True)
        return replace(
            instance,
            address=backend.address,
            ports=group.ports,
            only=True,
            hostname=backend.hostname or instance.hostname,
            serving=backend.ready or document.publish_not_ready,
        )

    def _of_entry(self, entry: WorkloadEntry) -> Instance:
        waits = self._mesh.health_checks and entry.health_checked and not entry.healthy
        labels = {**entry.spec.labels, **entry.metadata.labels}
        return replace(
            self._of_workload(entry.spec, entry.metadata.namespace),
            labels=labels,
            tls_mode=_tls_mode(labels, account=entry.spec.service_account),
            name=entry.metadata.name,
            namespace=entry.metadata.namespace,
            serving=not waits,
        )

    def _of_workload(self, workload: Workload, namespace: str) -> Instance:
        account = workload.service_account
        return Instance(
            address=workload.address,
            labels=workload.labels,
            ports=workload.ports,
            account=f"{namespace}/{account}" if account else None,
            tls_mode=_tls_mode(workload.labels, account=account),
            weight=workload.weight or 1,
            locality=workload.locality or workload.labels.get(_LOCALITY_LABEL, "").replace(".", "/"),
        )

    def _of_pod(self, pod: Pod) -> Instance:
        about = pod.metadata
        account = pod.service_account or (DEFAULT_ACCOUNT if self._mesh.admission else "")
        return Instance(
            address=pod.address,
            labels=about.labels,
            ports=pod.ports,
            account=f"{about.namespace}/{account}",
            tls_mode=pod.tls_mode,
            name=about.name,
            namespace=about.namespace,
            hostname=pod.hostname,
            subdomain=pod.subdomain,
            probed=True,
            serving=pod.ready,
        )


@lru_cache(maxsize=2**16)
def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


class _Labelled:
    """Instances by namespace and label: a mesh of ten thousand is not searched once for each service."""

    def __init__(self, instances: Iterable[Instance]) -> None:
        self._all: dict[str, list[Instance]] = defaultdict(list)
        self._by_label: dict[tuple[str, str, str], list[Instance]] = defaultdict(list)
        for each in instances:
            self._all[each.namespace].append(each)
            for key, value in each.labels.items():
                self._by_label[each.namespace, key, value].append(each)

    def selected(self, namespace: str, selector: Mapping[str, str]) -> Iterable[Instance]:
        narrowest: list[Instance] = min(
            (self._by_label.get((namespace, *pair), []) for pair in selector.items()),
            key=len,
            default=self._all.get(namespace, []),
        )
        return (each for each in narrowest if selects(selector, each.labels))


def _through(instances: Iterable[Instance], ports: Iterable[ServicePort]) -> Iterator[Instance]:
    """Reached by the ports of one document alone, under their names."""
    for each in instances:
        reached = {port.name: number for port in ports if (number := each.port(port))}
        yield replace(each, ports=reached, only=True)


def selects(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    return all(labels.get(key) == value for key, value in selector.items())


def _tls_mode(labels: Mapping[str, str], *, account: str) -> str:
    return labels.get(TLS_MODE) or (ISTIO if account else DISABLED)
