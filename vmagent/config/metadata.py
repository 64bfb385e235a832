"""The node's metadata: what istiod is told about us, in the encodings that it expects.

Owns:      which keys there are, where each comes from, and what istiod can decode under a key.
Does not:  know addresses or defaults (they come as values); ask a cloud for its metadata.
Surprise:  booleans are the texts ``true`` and ``false``; the members of every ISTIO_METAJSON_* object appear
           at the top level, as Istio's agent puts them there. A key that istiod knows under another type
           would make it refuse the whole node, so that is an error here, and told by its line.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from vmagent.config import credential_settings, settings
from vmagent.config.layers import Environment
from vmagent.config.merge import Merged
from vmagent.config.model import Address, Json, Workload
from vmagent.config.setting import SETTINGS
from vmagent.config.syntax import boolean, json_object

_META, _METAJSON = "ISTIO_META_", "ISTIO_METAJSON_"

_BOOLEANS: Final = """
    DNS_CAPTURE DNS_AUTO_ALLOCATE ENABLE_HBONE DISABLE_HBONE_SEND UNPRIVILEGED_POD ENABLE_SELF_DISCOVERY
    INBOUND_LISTENER_EXACT_BALANCE OUTBOUND_LISTENER_EXACT_BALANCE METADATA_DISCOVERY
    ENVOY_SKIP_DEPRECATED_LOGS EXIT_ON_ZERO_ACTIVE_CONNECTIONS
    """
BOOLEANS: Final = frozenset(_BOOLEANS.split())
"""``true`` or ``false``, as text."""

ONE: Final = frozenset({"HTTP10"})
"""Switches that istiod takes for on only if they read ``1``."""

_TEXTS: Final = """
    NAME NAMESPACE SERVICE_ACCOUNT WORKLOAD_NAME WORKLOAD_ENTRY AUTO_REGISTER_GROUP OWNER NODE_NAME
    APP_CONTAINERS INSTANCE_IPS REQUESTED_NETWORK_VIEW MESH_ID CLUSTER_ID NETWORK ISTIO_VERSION ISTIO_REVISION
    ISTIO_PROXY_SHA INTERCEPTION_MODE HTTP_PROXY_PORT IDLE_TIMEOUT GENERATOR BASE STS_PORT OUTLIER_LOG_PATH
    CLOUDRUN_ADDR POD_PORTS WORKLOAD_IDENTITY_SOCKET_FILE DNS_PROXY_ADDR
    TLS_SERVER_CERT_CHAIN TLS_SERVER_KEY TLS_SERVER_ROOT_CERT
    TLS_CLIENT_CERT_CHAIN TLS_CLIENT_KEY TLS_CLIENT_ROOT_CERT
    """
TEXTS: Final = frozenset(_TEXTS.split())
OBJECTS: Final = frozenset({"LABELS", "STATIC_LABELS", "ANNOTATIONS", "PLATFORM_METADATA"})
"""Objects of texts."""

OURS: Final = {
    "PROXY_CONFIG": "the mesh file",
    "PILOT_SAN": "discoveryAddress of the mesh file",
    "ENVOY_STATUS_PORT": "ENVOY_STATUS_PORT",
    "ENVOY_PROMETHEUS_PORT": "ENVOY_PROMETHEUS_PORT",
    "ENVOY_SECURE_METRICS_PORT": "ENVOY_SECURE_METRICS_PORT",
    "ENVOY_SECURE_MERGED_METRICS_PORT": "ENVOY_SECURE_MERGED_METRICS_PORT",
}
"""Neither text nor switch: what to set instead of the metadata."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What is known beside environment and ProxyConfig."""

    workload: Workload
    annotations: Mapping[str, str]
    credential_socket: bool
    """Somebody serves SDS for ``sds://`` credentials on this machine."""
    outlier_log: str
    sts_port: str
    locality: str = ""
    """``region/zone/subzone`` if a label says so: node.py looks."""


def metadata(environment: Environment, merged: Merged, told: Told) -> Mapping[str, Json]:
    workload, get = told.workload, environment.get
    located: dict[str, str] = {"istio-locality": told.locality} if told.locality else {}
    # Without a labels file both are one map in Istio's agent, and what is added to one is in the other.
    static = {**workload.static_labels, **(located if workload.static_labels == workload.labels else {})}
    hbone, discovery = get(settings.ENABLE_HBONE), get(settings.METADATA_DISCOVERY)
    found = _raw(environment) | {
        "PROXY_CONFIG": dict(merged.proxy_config),
        "ISTIO_VERSION": get(settings.ISTIO_VERSION),
        "INSTANCE_IPS": ",".join(workload.ips),
        "NAME": workload.name,
        "NAMESPACE": workload.namespace,
        "SERVICE_ACCOUNT": workload.service_account,
        "METADATA_DISCOVERY": _flag(hbone if discovery is None else discovery),
        "ENVOY_STATUS_PORT": get(settings.HEALTH_PORT),
        "ENVOY_PROMETHEUS_PORT": get(settings.PROMETHEUS_PORT),
        "WORKLOAD_IDENTITY_SOCKET_FILE": get(credential_settings.SOCKET_FILE),
    }
    optional: dict[str, Json] = {
        "LABELS": {**workload.labels, **located},
        "STATIC_LABELS": {**static},
        "ANNOTATIONS": {**told.annotations},
        "PILOT_SAN": _pilot_san(merged),
        "ENVOY_SECURE_METRICS_PORT": get(settings.SECURE_PORT),
        "ENVOY_SECURE_MERGED_METRICS_PORT": get(settings.SECURE_MERGED_PORT),
        "ENVOY_SKIP_DEPRECATED_LOGS": "true" if get(settings.SKIP_DEPRECATED) else "",
        "EXIT_ON_ZERO_ACTIVE_CONNECTIONS": "true" if get(settings.EXIT_ON_ZERO) else "",
        "DNS_PROXY_ADDR": environment.text("DNS_PROXY_ADDR"),
        "MESH_ID": workload.mesh_id,
        "OUTLIER_LOG_PATH": told.outlier_log,
        "STS_PORT": told.sts_port,
        "credential": "true" if told.credential_socket else "",
    }
    found |= {key: value for key, value in optional.items() if value}
    return dict(sorted(found.items()))


def _raw(environment: Environment) -> dict[str, Json]:
    """ISTIO_META_* as they stand, ISTIO_METAJSON_* unfolded; empty texts stay (``NETWORK: ""``)."""
    found: dict[str, Json] = {}
    for name in environment.names(_META):
        key, text = name.removeprefix(_META), environment.text(name)
        if text or key not in BOOLEANS | ONE | OBJECTS | OURS.keys():
            found |= _accepted(environment, name, key, text)
    for name in environment.names(_METAJSON):
        if text := environment.text(name):
            for key, value in _object(environment, name, text).items():
                found |= _accepted(environment, name, key, value)
    return found


def _accepted(environment: Environment, name: str, key: str, value: Json) -> dict[str, Json]:
    """As istiod can decode it; a problem, and nothing, if it cannot."""
    try:
        return {key: _encoded(key, value)}
    except ValueError as remedy:
        if name not in SETTINGS:  # those have been judged where they are used
            what = "not a value for this setting" if name.startswith(_META) else f"not a value for {key}"
            environment.problem(name, what, str(remedy))
        return {}


def _encoded(key: str, value: Json) -> Json:
    """Raises ValueError with the remedy."""
    if key in OURS:
        raise ValueError(f"remove it; {OURS[key]} says that")
    if key in BOOLEANS | ONE:
        on = value if isinstance(value, bool) else boolean(value if isinstance(value, str) else "")
        return _flag(on) if key in BOOLEANS else str(int(on))
    if key in TEXTS and not isinstance(value, str):
        raise ValueError(f'write text, as in {{"{key}":"..."}}')
    if key in OBJECTS and not (
        isinstance(value, dict) and all(isinstance(one, str) for one in value.values())
    ):
        raise ValueError(f"""write ISTIO_METAJSON_X='{{"{key}":{{"NAME":"TEXT"}}}}'""")
    return value


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
