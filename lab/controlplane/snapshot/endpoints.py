"""Endpoints of a service port: EDS assignments, and the same inside clusters that resolve names."""

from collections.abc import Iterator, Mapping
from typing import Final

from envoy.config.core.v3 import address_pb2, base_pb2, health_check_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2

from lab.controlplane.kinds.destination_rule import Subset
from lab.controlplane.kinds.service_entry import UNIX, Resolution, ServicePort
from lab.controlplane.snapshot import names
from lab.controlplane.snapshot.authentication import DISABLE
from lab.controlplane.snapshot.locality import arrange
from lab.controlplane.snapshot.packing import struct
from lab.controlplane.snapshot.rules import of_subset
from lab.controlplane.snapshot.view import Seen, View
from lab.controlplane.workloads import DISABLED, Instance, selects

TLS_MATCH: Final = "envoy.transport_socket_match"
"""Envoy chooses an endpoint's transport socket by this metadata."""
TLS_MODE: Final = "tlsMode"


def discovered(view: View, seen: Seen) -> bool:
    """Whether its clusters get their endpoints by EDS. A router has no connection whose destination it could
    pass on to, so that it needs endpoints there too."""
    resolution = seen.service.resolution
    return resolution is Resolution.STATIC or (resolution is Resolution.NONE and view.router)


def assignments(view: View) -> Iterator[endpoint_pb2.ClusterLoadAssignment]:
    """One for every cluster of type EDS. Without endpoints it is empty and still sent: Envoy waits for it."""
    for seen, port in view.ports():
        if not discovered(view, seen):
            continue
        for subset in (None, *(seen.rule.subsets if seen.rule else ())):
            policy = of_subset(seen.rule, subset, port.number)
            if not (policy.load_balancer and policy.load_balancer.simple == "PASSTHROUGH"):
                yield assignment(view, seen, port, subset)


def assignment(
    view: View, seen: Seen, port: ServicePort, subset: Subset | None = None
) -> endpoint_pb2.ClusterLoadAssignment:
    by_locality: dict[str, list[tuple[Instance, int]]] = {}
    for instance in seen.instances:
        number = instance.port(port)
        if instance.serving and number and (not subset or selects(subset.labels, instance.labels)):
            by_locality.setdefault(instance.locality, []).append((instance, number))
    spoken = _Spoken(view, seen, port, subset)
    made = endpoint_pb2.ClusterLoadAssignment(
        cluster_name=names.outbound(port.number, seen.host, subset.name if subset else ""),
        endpoints=[
            endpoint_components_pb2.LocalityLbEndpoints(
                locality=_locality(locality),
                lb_endpoints=[_endpoint(each, number, spoken) for each, number in by_locality[locality]],
                load_balancing_weight={"value": sum(each.weight for each, _ in by_locality[locality])},
            )
            for locality in sorted(by_locality)
        ],
    )
    arrange(made, of_subset(seen.rule, subset, port.number), view.proxy.locality)
    return made


class _Spoken:
    """How endpoints of one cluster are spoken to."""

    def __init__(self, view: View, seen: Seen, port: ServicePort, subset: Subset | None) -> None:
        self.view = view
        self._tls = of_subset(seen.rule, subset, port.number).tls

    def mode(self, instance: Instance, port: int) -> str:
        """``istio``, or a word of the workload's own; empty for plain text."""
        if instance.tls_mode == DISABLED:
            return ""
        if self._tls is not None:
            return instance.tls_mode if self._tls.mode == "ISTIO_MUTUAL" else ""
        modes = self.view.policies.of_workload(instance.namespace, instance.labels)
        return "" if modes.of(port) == DISABLE else instance.tls_mode


def _endpoint(instance: Instance, port: int, spoken: _Spoken) -> endpoint_components_pb2.LbEndpoint:
    workload = _workload(instance, spoken.view.mesh.cluster_id)
    metadata: dict[str, dict[str, object]] = {"istio": {"workload": workload}}
    mode = spoken.mode(instance, port)
    if mode:
        metadata[TLS_MATCH] = {TLS_MODE: mode}
    endpoint = endpoint_components_pb2.LbEndpoint(
        endpoint=endpoint_components_pb2.Endpoint(address=_address(instance, port)),
        metadata=base_pb2.Metadata(filter_metadata={key: struct(value) for key, value in metadata.items()}),
        load_balancing_weight={"value": instance.weight},
    )
    if instance.probed:
        endpoint.health_status = health_check_pb2.HEALTHY
    return endpoint


def _address(instance: Instance, port: int) -> address_pb2.Address:
    if instance.address.startswith(UNIX):
        return address_pb2.Address(pipe={"path": instance.address.removeprefix(UNIX)})
    return address_pb2.Address(socket_address={"address": instance.address, "port_value": port})


def _locality(text: str) -> base_pb2.Locality:
    region, zone, sub_zone = [*text.split("/"), "", ""][:3]
    return base_pb2.Locality(region=region, zone=zone, sub_zone=sub_zone)


def _workload(instance: Instance, cluster_id: str) -> str:
    """What telemetry knows of a peer: name, namespace, canonical service, its revision, cluster."""
    return ";".join(
        (instance.name, instance.namespace, _canonical_name(instance), _revision(instance.labels), cluster_id)
    )


def _canonical_name(instance: Instance) -> str:
    """As istiod derives it: three labels in this order, and at last the workload's name."""
    for label in ("service.istio.io/canonical-name", "app.kubernetes.io/name", "app"):
        if instance.labels.get(label):
            return instance.labels[label]
    return instance.name


def _revision(labels: Mapping[str, str]) -> str:
    for label in ("service.istio.io/canonical-revision", "app.kubernetes.io/version", "version"):
        if labels.get(label):
            return "" if labels[label] == "latest" else labels[label]
    return ""
