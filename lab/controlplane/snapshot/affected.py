"""From one world to the next: of which hosts the configuration may be another one. Pure.

Owns:      the knowledge which resource says something about which host. A kind it does not know affects
           everything.
Surprise:  what is said about a host depends on the documents of that host, the workloads behind them and the
           rules for it, and on no other host's: this is what makes it possible to build anew for one of ten
           thousand. Listeners and route tables are shared by hosts, and are the exception (incremental.py).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from lab.controlplane.hosts import absolute, is_wildcard
from lab.controlplane.kinds.destination_rule import DestinationRule
from lab.controlplane.kinds.kubernetes import ConfigMap, Deployment, Namespace, Pod, ServiceAccount
from lab.controlplane.kinds.kubernetes_service import Endpoints, EndpointSlice, KubernetesService
from lab.controlplane.kinds.service_entry import ServiceEntry
from lab.controlplane.kinds.virtual_service import VirtualService
from lab.controlplane.kinds.workload import WorkloadEntry, WorkloadGroup
from lab.controlplane.mesh import Mesh
from lab.controlplane.registry import World
from lab.controlplane.resources import Resource
from lab.controlplane.workloads import selects

_SILENT: Final = (ConfigMap, Deployment, Namespace, ServiceAccount, WorkloadGroup)
"""Kinds that no proxy is told of. The mesh configuration in a ConfigMap is another Mesh."""

Document = ServiceEntry | KubernetesService
_Workload = WorkloadEntry | Pod | Endpoints | EndpointSlice


@dataclass(frozen=True, slots=True, kw_only=True)
class Affected:
    hosts: frozenset[str] = frozenset()
    routing: bool = False
    """Routes and chains are chosen anew, even where no host is another one."""
    everything: bool = False


def affected(old: World, new: World, mesh: Mesh) -> Affected:
    hosts: set[str] = set()
    routing = False
    for one in _changed(old, new):
        match one:
            case ServiceEntry() | KubernetesService():
                hosts.update(hosts_of(one, mesh))
            case WorkloadEntry() | Pod() | Endpoints() | EndpointSlice():
                hosts.update(host for world in (old, new) for host in _behind(one, world, mesh))
            case DestinationRule():
                host = absolute(one.host, one.metadata.namespace, mesh.dns_domain)
                if is_wildcard(host):
                    return Affected(everything=True)
                hosts.add(host)
            case VirtualService():
                routing = True
            case _ if not isinstance(one, _SILENT):
                return Affected(everything=True)
    hosts.update(_moved(old, new))
    return Affected(hosts=frozenset(hosts), routing=routing)


def hosts_of(document: Document, mesh: Mesh) -> tuple[str, ...]:
    if isinstance(document, ServiceEntry):
        return document.hosts
    about = document.metadata
    return (f"{about.name}.{about.namespace}.svc.{mesh.dns_domain}",)


def _changed(old: World, new: World) -> Iterator[Resource]:
    """As they were, and as they are."""
    before, now = old.resources, new.resources
    for key, resource in now.items():
        known = before.get(key)
        if known is not resource:
            yield resource
            if known is not None:
                yield known
    for key in before.keys() - now.keys():
        yield before[key]


def _moved(old: World, new: World) -> Iterator[str]:
    """Hosts whose allocated address is another one."""
    if old.leases is not new.leases:
        before, now = old.leases.held, new.leases.held
        yield from (key[2] for key, _ in before.items() ^ now.items())


def _behind(workload: _Workload, world: World, mesh: Mesh) -> Iterator[str]:
    """Hosts of the services this may be behind."""
    namespace, listing = workload.metadata.namespace, frozenset(_listing(workload, world))
    for document in world.resources.values():
        if not isinstance(document, ServiceEntry | KubernetesService):
            continue
        listed = isinstance(document, KubernetesService) and document.metadata.name in listing
        if document.metadata.namespace == namespace and (listed or _chosen(workload, document)):
            yield from hosts_of(document, mesh)


def _chosen(workload: _Workload, document: Document) -> bool:
    """By its labels. Without a selector a Kubernetes Service chooses none; an entry's may be empty, and then
    chooses all."""
    selector = document.selector or None if isinstance(document, KubernetesService) else document.selector
    match workload:
        case WorkloadEntry():
            labels = {**workload.spec.labels, **workload.metadata.labels}
        case Pod():
            labels = dict(workload.metadata.labels)
        case _:
            return False
    return selector is not None and selects(selector, labels)


def _listing(workload: _Workload, world: World) -> Iterator[str]:
    """Names of the Kubernetes Services whose lists this is, or is in by its name."""
    namespace = workload.metadata.namespace
    match workload:
        case Endpoints() | EndpointSlice():
            yield workload.service
        case Pod():
            slices: tuple[Endpoints | EndpointSlice, ...] = world.all(Endpoints, namespace)
            for each in (*slices, *world.all(EndpointSlice, namespace)):
                pods = {backend.pod for group in each.groups for backend in group.backends}
                if workload.metadata.name in pods:
                    yield each.service
