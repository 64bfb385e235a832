"""Service, Endpoints, EndpointSlice: a name inside the cluster, and who answers for it.

Does not:  find endpoints by a Service's selector (workloads.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final

from lab.controlplane.kinds.document import Field
from lab.controlplane.kinds.metadata import Metadata, read_metadata
from lab.controlplane.kinds.protocol import of_service_port
from lab.controlplane.kinds.service_entry import ServicePort

HEADLESS: Final = "None"
"""clusterIP of a Service that has none."""
EXTERNAL_NAME: Final = "ExternalName"
_EXPORT_TO: Final = "networking.istio.io/exportTo"
_SERVICE_OF_SLICE: Final = "kubernetes.io/service-name"


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesService:
    KIND: ClassVar[str] = "Service"

    metadata: Metadata
    ports: tuple[ServicePort, ...] = ()
    addresses: tuple[str, ...] = ()
    """clusterIPs; empty for a headless one, and where nobody wrote them."""
    headless: bool = False
    """clusterIP: None: clients reach its endpoints directly."""
    selector: Mapping[str, str] = field(default_factory=dict)
    export_to: tuple[str, ...] = ("*",)
    external_name: str = ""
    """Of type ExternalName: an alias, which has neither ports nor endpoints of its own."""
    publish_not_ready: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """One address behind a Service."""

    address: str
    ready: bool = True
    pod: str = ""
    """Name of the pod it is, if it is one."""
    zone: str = ""
    hostname: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backends:
    """Addresses that all listen on the same ports."""

    ports: Mapping[str, int]
    """Number by the name of the Service's port; the only port of a Service may have the name ""."""
    backends: tuple[Backend, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    KIND: ClassVar[str] = "Endpoints"

    metadata: Metadata
    groups: tuple[Backends, ...] = ()

    @property
    def service(self) -> str:
        return self.metadata.name


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointSlice:
    KIND: ClassVar[str] = "EndpointSlice"

    metadata: Metadata
    service: str
    groups: tuple[Backends, ...] = ()


def read_service(at: Field) -> KubernetesService:
    at.leave("status")
    spec = at["spec"]
    metadata = read_metadata(at["metadata"])
    shown = metadata.annotations.get(_EXPORT_TO, "")
    cluster_ips = spec["clusterIPs"].texts() or tuple(filter(None, (spec["clusterIP"].text(""),)))
    external = spec["externalName"].text("") if spec["type"].text("ClusterIP") == EXTERNAL_NAME else ""
    service = KubernetesService(
        metadata=metadata,
        ports=tuple(_read_port(each) for each in spec["ports"]),
        addresses=tuple(each for each in cluster_ips if each != HEADLESS),
        headless=HEADLESS in cluster_ips,
        selector=spec["selector"].labels(),
        export_to=tuple(filter(None, map(str.strip, shown.split(",")))) or ("*",),
        external_name=external,
        publish_not_ready=spec["publishNotReadyAddresses"].flag(False),
    )
    spec.leave_all()
    return service


def _read_port(at: Field) -> ServicePort:
    number, name = at["port"].port(), at["name"].text("")
    target = at["targetPort"]
    named = isinstance(target.value, str) and not target.value.isdigit()
    return ServicePort(
        number=number,
        name=name,
        protocol=of_service_port(
            number=number,
            name=name,
            transport=at["protocol"].text("TCP"),
            app=at["appProtocol"].text(""),
        ),
        target=0 if named or target.value is None else int(str(target.value)),
        target_name=target.text() if named else "",
    )


def read_endpoints(at: Field) -> Endpoints:
    return Endpoints(
        metadata=read_metadata(at["metadata"]),
        groups=tuple(
            Backends(
                ports=_ports(subset["ports"]),
                backends=(
                    *(_backend(each, each["ip"], ready=True) for each in subset["addresses"]),
                    *(_backend(each, each["ip"], ready=False) for each in subset["notReadyAddresses"]),
                ),
            )
            for subset in at["subsets"]
        ),
    )


def read_endpoint_slice(at: Field) -> EndpointSlice:
    at.leave("addressType")
    metadata = read_metadata(at["metadata"])
    service = metadata.labels.get(_SERVICE_OF_SLICE, "")
    if not service:
        raise at["metadata"]["labels"].bad(f"write {_SERVICE_OF_SLICE}: whose endpoints are these?")
    backends = tuple(
        _backend(each, address, ready=each["conditions"]["ready"].flag(True))
        for each in at["endpoints"]
        for address in each["addresses"]
    )
    return EndpointSlice(
        metadata=metadata, service=service, groups=(Backends(ports=_ports(at["ports"]), backends=backends),)
    )


def _ports(at: Field) -> dict[str, int]:
    found = {each["name"].text(""): each["port"].port() for each in at}
    at.leave_all()
    return found


def _backend(at: Field, address: Field, *, ready: bool) -> Backend:
    target = at["targetRef"]
    backend = Backend(
        address=address.address(),
        ready=ready,
        pod=target["name"].text("") if target["kind"].text("") == "Pod" else "",
        zone=at["zone"].text(""),
        hostname=at["hostname"].text(""),
    )
    at.leave_all()
    return backend
