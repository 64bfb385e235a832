"""The xDS node: what istiod is told about us, in the encodings that it expects.

Owns:      node id, cluster, locality and metadata.
Does not:  know addresses or defaults (they come as values); cloud metadata.
Surprise:  booleans are the texts ``true`` and ``false``; the members of every ISTIO_METAJSON_* object also
           appear at the top level, as Istio's agent puts them there.
"""

from collections.abc import Mapping
from typing import Final

from vmagent.config import settings
from vmagent.config.layers import Environment
from vmagent.config.merge import Merged
from vmagent.config.model import Address, Json, Locality, Node, Workload
from vmagent.config.setting import SETTINGS
from vmagent.config.syntax import boolean, json_object

_META, _METAJSON = "ISTIO_META_", "ISTIO_METAJSON_"

_BOOLEANS: Final = (
    "DNS_CAPTURE",
    "DNS_AUTO_ALLOCATE",
    "ENABLE_HBONE",
    "DISABLE_HBONE_SEND",
    "HTTP10",
    "UNPRIVILEGED_POD",
    "ENABLE_SELF_DISCOVERY",
    "INBOUND_LISTENER_EXACT_BALANCE",
    "OUTBOUND_LISTENER_EXACT_BALANCE",
)
"""Metadata that istiod decodes as booleans: a value it cannot read would make it refuse the whole node."""

_LOCALITY_LABELS: Final = ("topology.istio.io/locality", "istio-locality")
_NAME_LABELS: Final = ("app", "app.kubernetes.io/name", "service.istio.io/canonical-name")


def node(environment: Environment, merged: Merged, workload: Workload) -> Node:
    place, label = _locality(workload.labels)
    return Node(
        id=f"sidecar~{workload.address}~{workload.name}.{workload.namespace}~{workload.dns_domain}",
        cluster=_cluster(merged, workload),
        locality=place,
        metadata=_metadata(environment, merged, workload, label),
    )


def _metadata(
    environment: Environment, merged: Merged, workload: Workload, locality: str
) -> Mapping[str, Json]:
    found = _raw(environment)
    labels: dict[str, Json] = {**workload.labels, **({"istio-locality": locality} if locality else {})}
    hbone = environment.get(settings.ENABLE_HBONE)
    discovery = environment.get(settings.METADATA_DISCOVERY)
    found |= {
        "PROXY_CONFIG": dict(merged.proxy_config),
        "ISTIO_VERSION": environment.get(settings.ISTIO_VERSION),
        "INSTANCE_IPS": ",".join(workload.ips),
        "NAME": workload.name,
        "NAMESPACE": workload.namespace,
        "SERVICE_ACCOUNT": workload.service_account,
        "METADATA_DISCOVERY": _flag(hbone if discovery is None else discovery),
        "ENVOY_STATUS_PORT": environment.get(settings.HEALTH_PORT),
        "ENVOY_PROMETHEUS_PORT": environment.get(settings.PROMETHEUS_PORT),
        "WORKLOAD_IDENTITY_SOCKET_FILE": environment.get(settings.SOCKET_FILE),
    }
    optional: dict[str, Json] = {
        "LABELS": labels,
        "STATIC_LABELS": dict(labels),
        "PILOT_SAN": _pilot_san(merged),
        "ENVOY_SECURE_METRICS_PORT": environment.get(settings.SECURE_PORT),
        "ENVOY_SECURE_MERGED_METRICS_PORT": environment.get(settings.SECURE_MERGED_PORT),
        "ENVOY_SKIP_DEPRECATED_LOGS": _flag(environment.get(settings.SKIP_DEPRECATED)),
        "EXIT_ON_ZERO_ACTIVE_CONNECTIONS": "true" if environment.get(settings.EXIT_ON_ZERO) else "",
        "DNS_PROXY_ADDR": environment.text("DNS_PROXY_ADDR"),
        "MESH_ID": workload.mesh_id,
    }
    found |= {key: value for key, value in optional.items() if value}
    return dict(sorted(found.items()))


def _raw(environment: Environment) -> dict[str, Json]:
    """ISTIO_META_* as they stand, ISTIO_METAJSON_* unfolded; empty texts stay (``NETWORK: ""``)."""
    found: dict[str, Json] = {}
    for name in environment.names(_META):
        key, text = name.removeprefix(_META), environment.text(name)
        if key not in _BOOLEANS:
            found[key] = text
        elif text:
            found[key] = _boolean(environment, name, text)
    for name in environment.names(_METAJSON):
        if text := environment.text(name):
            found |= _object(environment, name, text)
    return found


def _boolean(environment: Environment, name: str, text: str) -> str:
    try:
        return _flag(boolean(text))
    except ValueError as remedy:
        if name not in SETTINGS:  # those have been judged where they are used
            environment.problem(name, "not a value for this setting", str(remedy))
        return _flag(False)


def _object(environment: Environment, name: str, text: str) -> dict[str, Json]:
    try:
        return json_object(text)
    except ValueError as remedy:
        if name not in SETTINGS:
            environment.problem(name, "not a JSON object", str(remedy))
        return {}


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _pilot_san(merged: Merged) -> Json:
    if merged.text("controlPlaneAuthPolicy") == "NONE":
        return []
    host = Address.parse(merged.text("discoveryAddress")).host
    return ["istiod.istio-system.svc" if host == "localhost" else host]


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
