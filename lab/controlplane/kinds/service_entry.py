"""ServiceEntry: a service the mesh is told about, its addresses, its ports, its endpoints.

Owns:      what istiod refuses in one; the sentences begin with istiod's own words, so that they can be
           searched for.
Does not:  find the endpoints (workloads.py) or allocate addresses (addresses.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, Final

from lab.controlplane.hosts import WILDCARD, domain_problem
from lab.controlplane.kinds.document import Field
from lab.controlplane.kinds.metadata import Metadata, read_export_to, read_metadata
from lab.controlplane.kinds.protocol import Protocol
from lab.controlplane.kinds.workload import Workload, read_workload

UNIX: Final = "unix://"


class Resolution(StrEnum):
    NONE = "NONE"
    STATIC = "STATIC"
    DNS = "DNS"
    DNS_ROUND_ROBIN = "DNS_ROUND_ROBIN"

    @property
    def by_name(self) -> bool:
        """Envoy looks the endpoints up itself."""
        return self in (Resolution.DNS, Resolution.DNS_ROUND_ROBIN)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePort:
    number: int
    name: str
    protocol: Protocol
    target: int = 0
    """Where endpoints listen that do not say otherwise; 0: at ``number``."""
    target_name: str = ""
    """Of a Kubernetes Service only: the container's port of this name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceEntry:
    KIND: ClassVar[str] = "ServiceEntry"

    metadata: Metadata
    hosts: tuple[str, ...]
    ports: tuple[ServicePort, ...]
    addresses: tuple[str, ...] = ()
    external: bool = True
    """location: MESH_EXTERNAL, which is also what a document without a location means."""
    resolution: Resolution = Resolution.NONE
    endpoints: tuple[Workload, ...] = ()
    selector: Mapping[str, str] | None = None
    """workloadSelector.labels; ``None`` selects nothing."""
    export_to: tuple[str, ...] = ("*",)
    subject_alt_names: tuple[str, ...] = ()
    given: Mapping[str, str] = field(default_factory=dict)
    """status.addresses, by host: what a control plane once gave it stays its own."""


def read_service_entry(at: Field) -> ServiceEntry:
    spec = at["spec"]
    given = [(each["host"].text(""), each["value"].address()) for each in at["status"]["addresses"]]
    at.leave("status")
    selector = spec["workloadSelector"]
    entry = ServiceEntry(
        metadata=read_metadata(at["metadata"]),
        hosts=tuple(_read_host(each) for each in spec["hosts"]),
        ports=tuple(_read_port(port) for port in spec["ports"]),
        addresses=tuple(each.subnet() for each in spec["addresses"]),
        external=spec["location"].choice(("MESH_EXTERNAL", "MESH_INTERNAL"), "MESH_EXTERNAL")
        == "MESH_EXTERNAL",
        resolution=Resolution(spec["resolution"].choice(tuple(Resolution), Resolution.NONE)),
        endpoints=tuple(read_workload(endpoint) for endpoint in spec["endpoints"]),
        selector=None if selector.absent else selector["labels"].labels(),
        export_to=read_export_to(spec["exportTo"]),
        subject_alt_names=spec["subjectAltNames"].texts(),
        given={host: address for host, address in given if ":" not in address},
    )
    _check_whole(entry, spec)
    _check_ports(entry, spec["ports"])
    _check_endpoints(entry, spec["endpoints"])
    return entry


def _read_host(at: Field) -> str:
    if at.value == WILDCARD:
        raise at.bad("invalid host *: a full wildcard is not allowed in a service entry")
    return at.host(wildcard=True)


def _read_port(at: Field) -> ServicePort:
    known = tuple(each for each in Protocol if each is not Protocol.AUTO)
    said = at["protocol"]
    protocol = Protocol.AUTO
    if said.value:
        written = said.text()
        if written.upper() not in known:
            raise said.bad(
                f"unsupported protocol: write one of {', '.join(known)}, or leave it out to have it guessed"
            )
        protocol = Protocol(written.upper())
    return ServicePort(
        number=at["number"].port(),
        name=at["name"].dns_label(),
        protocol=protocol,
        target=at["targetPort"].port(0) if at["targetPort"].value != 0 else 0,
    )


def _check_whole(entry: ServiceEntry, spec: Field) -> None:
    if not entry.hosts:
        raise spec["hosts"].bad("service entry must have at least one host")
    if entry.selector is not None and entry.endpoints:
        raise spec["endpoints"].bad("only one of WorkloadSelector or Endpoints is allowed: write either")
    for address in spec["addresses"]:
        if "/" in address.text() and entry.resolution.by_name:
            raise address.bad("CIDR addresses are allowed only for NONE/STATIC resolution types")
    unclear = [port for port in entry.ports if not port.protocol.http and not port.protocol.tls]
    if len(entry.hosts) > 1 and unclear and entry.resolution is not Resolution.NONE:
        # Nothing in a plain TCP connection tells the hosts apart.
        raise spec["hosts"].bad(
            "multiple hosts provided with non-HTTP, non-TLS ports: write one host per document"
        )
    if entry.resolution.by_name and not entry.endpoints and entry.selector is None:
        for host in spec["hosts"]:
            if domain_problem(host.text(), wildcard=False):
                raise host.bad("hosts must be FQDN if no endpoints are provided for resolution mode DNS")
    if entry.resolution is Resolution.DNS_ROUND_ROBIN and len(entry.endpoints) > 1:
        raise spec["endpoints"].bad("there must only be 0 or 1 endpoint for resolution mode DNS_ROUND_ROBIN")


def _check_ports(entry: ServiceEntry, at: Field) -> None:
    names: set[str] = set()
    numbers: set[int] = set()
    for port, written in zip(entry.ports, at, strict=True):
        if port.name in names:
            raise written["name"].bad(
                "service entry port name already defined: give each port a name of its own"
            )
        if port.number in numbers:
            raise written["number"].bad(
                "service entry port already defined: give each port a number of its own"
            )
        names.add(port.name)
        numbers.add(port.number)


def _check_endpoints(entry: ServiceEntry, at: Field) -> None:
    if entry.resolution is Resolution.NONE and entry.endpoints:
        raise at.bad("no endpoints should be provided for resolution type none: remove them or write another")
    names = {port.name for port in entry.ports}
    for workload, written in zip(entry.endpoints, at, strict=True):
        if workload.address.startswith(UNIX):
            _check_unix(entry, workload, written)
            continue
        for name, number in workload.ports.items():
            if name not in names:
                raise written["ports"].bad(
                    f"endpoint port {number} is not defined by the service entry; its ports are named "
                    f"{', '.join(sorted(names))}"
                )
        if entry.resolution is Resolution.STATIC:
            written["address"].address()
        elif domain_problem(workload.address, wildcard=False):
            raise written["address"].bad("endpoint address is not a valid FQDN or an IP address")


def _check_unix(entry: ServiceEntry, workload: Workload, at: Field) -> None:
    path = workload.address.removeprefix(UNIX)
    if entry.resolution is not Resolution.STATIC:
        raise at["address"].bad("unix addresses need resolution STATIC")
    if not path.startswith(("/", "@")):
        raise at["address"].bad("unix address must be an absolute path, or abstract with @ in front")
    if workload.ports:
        raise at["ports"].bad("unix endpoint must not include ports")
    if len(entry.ports) != 1:
        raise at["address"].bad("exactly 1 service port required for unix endpoints")
