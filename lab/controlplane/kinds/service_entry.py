"""ServiceEntry: a service the mesh is told about, its addresses, its ports, its endpoints.

Does not:  find the endpoints (registry.py) or allocate addresses (addresses.py).
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import ClassVar, Final

from lab.controlplane.kinds.document import Field
from lab.controlplane.kinds.metadata import Metadata, read_metadata
from lab.controlplane.kinds.workload import Workload, read_workload

UNIX: Final = "unix://"


class Resolution(StrEnum):
    NONE = "NONE"
    STATIC = "STATIC"
    DNS = "DNS"


class Protocol(StrEnum):
    HTTP = "HTTP"
    HTTP2 = "HTTP2"
    GRPC = "GRPC"
    HTTPS = "HTTPS"
    TLS = "TLS"
    TCP = "TCP"
    MONGO = "MONGO"

    @property
    def http(self) -> bool:
        """Requests are seen one by one and routed by their host."""
        return self in (Protocol.HTTP, Protocol.HTTP2, Protocol.GRPC)

    @property
    def http2(self) -> bool:
        return self in (Protocol.HTTP2, Protocol.GRPC)

    @property
    def tls(self) -> bool:
        return self in (Protocol.HTTPS, Protocol.TLS)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePort:
    number: int
    name: str
    protocol: Protocol
    target: int
    """Where endpoints listen that do not say otherwise; ``number`` if the document has no targetPort."""


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

    def visible_from(self, namespace: str) -> bool:
        own = "." in self.export_to and namespace == self.metadata.namespace
        return own or "*" in self.export_to or namespace in self.export_to


def read_service_entry(at: Field) -> ServiceEntry:
    spec = at["spec"]
    at.leave("status")
    selector = spec["workloadSelector"]
    entry = ServiceEntry(
        metadata=read_metadata(at["metadata"]),
        hosts=spec["hosts"].texts(),
        ports=tuple(_read_port(port) for port in spec["ports"]),
        addresses=spec["addresses"].texts(),
        external=spec["location"].choice(("MESH_EXTERNAL", "MESH_INTERNAL"), "MESH_EXTERNAL")
        == "MESH_EXTERNAL",
        resolution=Resolution(spec["resolution"].choice(tuple(Resolution), Resolution.NONE)),
        endpoints=tuple(read_workload(endpoint) for endpoint in spec["endpoints"]),
        selector=None if selector.absent else selector["labels"].labels(),
        export_to=spec["exportTo"].texts() or ("*",),
        subject_alt_names=spec["subjectAltNames"].texts(),
    )
    _check_whole(entry, spec)
    _check_endpoints(entry, spec["endpoints"])
    return entry


def _read_port(at: Field) -> ServicePort:
    number = at["number"].port()
    return ServicePort(
        number=number,
        name=at["name"].text(),
        protocol=Protocol(_upper(at["protocol"]).choice(tuple(Protocol))),
        target=at["targetPort"].port(number),
    )


def _upper(at: Field) -> Field:
    """Protocols are written in any case."""
    return replace(at, value=at.value.upper()) if isinstance(at.value, str) else at


def _check_whole(entry: ServiceEntry, spec: Field) -> None:
    if not entry.hosts:
        raise spec["hosts"].bad("write at least one host name")
    if not entry.ports:
        raise spec["ports"].bad("write at least one port")
    if entry.selector is not None and entry.endpoints:
        raise spec["endpoints"].bad("write either endpoints or a workloadSelector, not both")
    names, numbers = [port.name for port in entry.ports], [port.number for port in entry.ports]
    if len(set(names)) < len(names) or len(set(numbers)) < len(numbers):
        raise spec["ports"].bad("give each port a name and a number of its own")
    for address in spec["addresses"]:
        _check_range(address)
    plain = [port for port in entry.ports if not port.protocol.http and not port.protocol.tls]
    if len(entry.hosts) > 1 and plain and not entry.addresses:
        # Nothing in a plain TCP connection tells the hosts apart; istiod refuses it in the same words.
        raise spec["hosts"].bad(
            "multiple hosts provided with non-HTTP, non-TLS ports: write one host per document"
        )


def _check_range(at: Field) -> None:
    try:
        ipaddress.ip_network(at.text(), strict=False)
    except ValueError as why:
        raise at.bad("write an IP address or a range like 10.0.0.0/24") from why


def _check_endpoints(entry: ServiceEntry, at: Field) -> None:
    names = {port.name for port in entry.ports}
    for workload, field in zip(entry.endpoints, at, strict=True):
        if not workload.address:
            raise field["address"].bad("write the address of the endpoint")
        for name, number in workload.ports.items():
            if name not in names:
                raise field["ports"].bad(
                    f"endpoint port {number} is not defined by the service entry; name its ports"
                )
        if entry.resolution is Resolution.STATIC and not workload.address.startswith(UNIX):
            field["address"].address()
