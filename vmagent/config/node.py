"""The xDS node: the name under which istiod knows us.

Owns:      node id, cluster and locality.
Does not:  know the metadata (metadata.py), addresses or defaults (they come as values).
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from vmagent.config.layers import Environment
from vmagent.config.merge import Merged
from vmagent.config.metadata import Told, metadata
from vmagent.config.model import Locality, Node, Role, Workload

_LOCALITY_LABELS: Final = ("topology.istio.io/locality", "istio-locality")
_NAME_LABELS: Final = ("app", "app.kubernetes.io/name", "service.istio.io/canonical-name")


def node(environment: Environment, merged: Merged, role: Role, told: Told) -> Node:
    """``told.locality`` is filled in here, from the labels."""
    workload = told.workload
    place, label = _locality(workload.labels)
    return Node(
        id=f"{role}~{workload.address}~{workload.name}.{workload.namespace}~{workload.dns_domain}",
        cluster=_cluster(merged, workload),
        locality=place,
        metadata=metadata(environment, merged, replace(told, locality=label)),
    )


def _locality(labels: Mapping[str, str]) -> tuple[Locality, str]:
    """Region, zone and subzone as a label says, and the same with slashes."""
    text = next((labels[key] for key in _LOCALITY_LABELS if labels.get(key)), "")
    parts = [*text.split("/" if "/" in text else "."), "", "", ""][:3]
    place = Locality(region=parts[0], zone=parts[1], subzone=parts[2])
    return place, "/".join(part for part in parts if part)


def _cluster(merged: Merged, workload: Workload) -> str:
    """How Envoy calls itself in traces and statistics."""
    canonical = (
        workload.labels.get("service.istio.io/canonical-name") or workload.workload_name or "istio-proxy"
    )
    match merged.proxy_config.get("tracingServiceName"):
        case "CANONICAL_NAME_ONLY":
            return canonical
        case "CANONICAL_NAME_AND_NAMESPACE":
            return f"{canonical}.{workload.namespace}"
    given = merged.text("serviceCluster")
    if given and given != "istio-proxy":
        return given
    label = next((workload.labels[key] for key in _NAME_LABELS if workload.labels.get(key)), "")
    return f"{label or workload.workload_name or 'istio-proxy'}.{workload.namespace}"
