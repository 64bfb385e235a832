"""What there is to show, in lines that can be searched, before anything is cut or becomes markup.

Owns:      which facts make a host, a workload, a service or a proxy.
Does not:  know HTML or how much fits a page (tables.py).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from lab.controlplane.connection import Connection
from lab.controlplane.kinds.kubernetes import Pod
from lab.controlplane.kinds.service_entry import ServiceEntry
from lab.controlplane.kinds.workload import HEALTHY, WorkloadEntry
from lab.controlplane.mesh import Mesh
from lab.controlplane.registration import CONNECTED_AT, DISCONNECTED_AT, GROUP
from lab.controlplane.registry import World
from lab.controlplane.services import Service, services
from lab.controlplane.workloads import Instance, Workloads


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadFact:
    kind: str
    namespace: str
    name: str
    address: str
    account: str
    labels: Mapping[str, str]
    group: str
    """The WorkloadGroup it registered by; empty for one that somebody wrote down."""
    health: str
    """``healthy``, ``unhealthy``, ``not reported`` or ``not checked``."""
    reason: str
    connected: str
    """Since when, or until when; RFC 3339, empty for what never was."""
    gone: bool

    @property
    def text(self) -> str:
        labels = " ".join(f"{key}={value}" for key, value in self.labels.items())
        said = (self.kind, self.namespace, self.name, self.address, self.account, labels, self.group)
        return " ".join((*said, self.health, self.reason))


@dataclass(slots=True, kw_only=True)
class HostFact:
    """One address, and what is known to be there."""

    address: str
    proxies: list[str] = field(default_factory=list)
    workloads: list[str] = field(default_factory=list)
    endpoints_of: list[str] = field(default_factory=list)
    """ServiceEntries that name the address themselves."""

    @property
    def text(self) -> str:
        return " ".join((self.address, *self.proxies, *self.workloads, *self.endpoints_of))


class Facts:
    """Of one world. Made once, asked for many pages."""

    def __init__(self, world: World, mesh: Mesh) -> None:
        self.world = world
        self.services, self.problems = services(world, mesh)
        self._workloads = Workloads(world, mesh)
        self.workloads = tuple(_workloads(world))

    def endpoints(self, service: Service) -> tuple[Instance, ...]:
        return self._workloads.behind(service)

    def hosts(self, connections: Iterable[Connection]) -> list[HostFact]:
        """Those with a proxy first; what is an address only, not a name or a socket, is a host."""
        found: defaultdict[str, HostFact] = defaultdict(lambda: HostFact(address=""))

        def at(address: str) -> HostFact:
            found[address].address = address
            return found[address]

        for connection in connections:
            for address in connection.proxy.ips:
                at(address).proxies.append(connection.proxy.name)
        for workload in self.workloads:
            if workload.address and "://" not in workload.address:
                at(workload.address).workloads.append(f"{workload.kind} {workload.namespace}/{workload.name}")
        for entry in self.world.all(ServiceEntry):
            for endpoint in entry.endpoints:
                if endpoint.address and "://" not in endpoint.address:
                    at(endpoint.address).endpoints_of.append(
                        f"{entry.metadata.namespace}/{entry.metadata.name}"
                    )
        return sorted(found.values(), key=lambda each: (not each.proxies, not each.workloads))


def service_text(service: Service) -> str:
    """What a search for a service looks at."""
    about = service.document.metadata
    ports = " ".join(f"{each.number}/{each.protocol} {each.name}" for each in service.ports)
    address = " ".join((*service.addresses, *service.allocated))
    return f"{service.host} {about.namespace} {about.name} {service.registry} {address} {ports}"


def proxy_text(connection: Connection) -> str:
    proxy = connection.proxy
    reasons = " ".join(watch.reason for watch in connection.session.watches.values())
    return " ".join(
        (proxy.name, *proxy.ips, proxy.istio_version, str(connection.caller.identity), connection.id, reasons)
    )


def _workloads(world: World) -> Iterator[WorkloadFact]:
    for entry in world.all(WorkloadEntry):
        about, notes = entry.metadata, entry.metadata.annotations
        health, reason = _health(entry)
        yield WorkloadFact(
            kind="WorkloadEntry",
            namespace=about.namespace,
            name=about.name,
            address=entry.spec.address,
            account=entry.spec.service_account,
            labels={**entry.spec.labels, **about.labels},
            group=notes.get(GROUP, ""),
            health=health,
            reason=reason,
            connected=notes.get(DISCONNECTED_AT) or notes.get(CONNECTED_AT, ""),
            gone=DISCONNECTED_AT in notes,
        )
    for pod in world.all(Pod):
        yield WorkloadFact(
            kind="Pod",
            namespace=pod.metadata.namespace,
            name=pod.metadata.name,
            address=pod.address,
            account=pod.service_account,
            labels=pod.metadata.labels,
            group="",
            health="healthy" if pod.ready else "unhealthy",
            reason="",
            connected="",
            gone=False,
        )


def _health(entry: WorkloadEntry) -> tuple[str, str]:
    said = next((each for each in entry.conditions if each.type == HEALTHY), None)
    if said is None:
        return ("not reported" if entry.health_checked else "not checked"), ""
    return ("healthy" if said.status == "True" else "unhealthy"), said.message
