"""Endpoints of a service port: EDS assignments, and the same inside clusters that resolve names."""

from collections.abc import Iterable, Mapping

from envoy.config.core.v3 import address_pb2, base_pb2, health_check_pb2
from envoy.config.endpoint.v3 import endpoint_components_pb2, endpoint_pb2

from lab.controlplane.kinds.routing import Subset
from lab.controlplane.kinds.service_entry import UNIX, Resolution, ServicePort
from lab.controlplane.registry import ISTIO, Instance, selects
from lab.controlplane.snapshot import names
from lab.controlplane.snapshot.packing import struct
from lab.controlplane.snapshot.view import Seen, View

TLS_MATCH = "envoy.transport_socket_match"
"""Envoy chooses an endpoint's transport socket by this metadata."""
TLS_MODE = "tlsMode"


def assignments(view: View) -> Iterable[endpoint_pb2.ClusterLoadAssignment]:
    """One for every cluster of type EDS. Without endpoints it is empty and still sent: Envoy waits for it."""
    for seen, port in view.ports():
        if seen.service.resolution is not Resolution.STATIC:
            continue
        yield assignment(view, seen, port)
        for subset in seen.rule.subsets if seen.rule else ():
            yield assignment(view, seen, port, subset)


def assignment(
    view: View, seen: Seen, port: ServicePort, subset: Subset | None = None
) -> endpoint_pb2.ClusterLoadAssignment:
    chosen = [
        each
        for each in seen.instances
        if each.serving and (not subset or selects(subset.labels, each.labels))
    ]
    by_locality: dict[str, list[Instance]] = {}
    for instance in chosen:
        by_locality.setdefault(instance.locality, []).append(instance)
    return endpoint_pb2.ClusterLoadAssignment(
        cluster_name=names.outbound(port.number, seen.host, subset.name if subset else ""),
        endpoints=[
            endpoint_components_pb2.LocalityLbEndpoints(
                locality=_locality(locality),
                lb_endpoints=[_endpoint(each, port, view.mesh.cluster_id) for each in instances],
                load_balancing_weight={"value": sum(each.weight for each in instances)},
            )
            for locality, instances in by_locality.items()
        ],
    )


def _endpoint(instance: Instance, port: ServicePort, cluster_id: str) -> endpoint_components_pb2.LbEndpoint:
    metadata: dict[str, dict[str, object]] = {"istio": {"workload": _workload(instance, cluster_id)}}
    if instance.tls_mode == ISTIO:
        metadata[TLS_MATCH] = {TLS_MODE: ISTIO}
    endpoint = endpoint_components_pb2.LbEndpoint(
        endpoint=endpoint_components_pb2.Endpoint(address=_address(instance, port)),
        metadata=base_pb2.Metadata(filter_metadata={key: struct(value) for key, value in metadata.items()}),
        load_balancing_weight={"value": instance.weight},
    )
    if instance.probed:
        endpoint.health_status = health_check_pb2.HEALTHY
    return endpoint


def _address(instance: Instance, port: ServicePort) -> address_pb2.Address:
    if instance.address.startswith(UNIX):
        return address_pb2.Address(pipe={"path": instance.address.removeprefix(UNIX)})
    return address_pb2.Address(
        socket_address={"address": instance.address, "port_value": instance.port(port)},
    )


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
