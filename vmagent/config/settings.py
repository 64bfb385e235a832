"""The environment variables an operator may set: one row each.

Owns:      name, parser, default (as an operator would write it), help; derived from it: ``config show``,
           ``config explain``, what counts as misspelt.
Does not:  know where values come from (layers.py) or what is made of them (sections.py and its neighbours);
           hold the rows of credentials (credential_settings.py) and of capture (capture_settings.py).
Surprise:  a variable set to nothing means its default, unless the row says that empty is an answer.
"""

from collections.abc import Callable
from typing import Final, Literal, TypeVar

from vmagent.config import syntax
from vmagent.config.setting import row
from vmagent.config.syntax import boolean, duration, positive_duration, text

T = TypeVar("T")

_ROLE: Callable[[str], Literal["sidecar", "router"]] = syntax.choice("sidecar", "router")
_LEVEL: Callable[[str], Literal["debug", "info", "warn", "error"]] = syntax.choice(
    "debug", "info", "warn", "error"
)


def _optional(parse: Callable[[str], T]) -> Callable[[str], T | None]:
    return lambda value: parse(value) if value else None


def _or_empty(parse: Callable[[str], str]) -> Callable[[str], str]:
    return lambda value: parse(value) if value else ""


# --- who we are -------------------------------------------------------------------------------------------

POD_NAME: Final = row(
    "POD_NAME", text, "", "Name of this machine in the mesh; the short host name by default."
)
ISTIO_NAMESPACE: Final = row(
    "ISTIO_NAMESPACE", _or_empty(syntax.label), "", "Namespace of the workload; wins over POD_NAMESPACE."
)
POD_NAMESPACE: Final = row(
    "POD_NAMESPACE", syntax.label, "default", "Namespace of the workload where ISTIO_NAMESPACE is not set."
)
SERVICE_ACCOUNT: Final = row(
    "SERVICE_ACCOUNT", _or_empty(syntax.domain), "", "Service account whose token and certificate we hold."
)
TRUST_DOMAIN: Final = row(
    "TRUST_DOMAIN",
    _or_empty(syntax.domain),
    "",
    "Trust domain of our SPIFFE name; else the mesh file's trustDomain, else cluster.local.",
)
CLUSTER_ID: Final = row("ISTIO_META_CLUSTER_ID", text, "", "Cluster whose control plane we belong to.")
MESH_ID: Final = row("ISTIO_META_MESH_ID", text, "", "Mesh that telemetry is labelled with.")
NETWORK: Final = row("ISTIO_META_NETWORK", text, "", "Network of this machine; empty: the cluster's own.")
GROUP: Final = row(
    "ISTIO_META_AUTO_REGISTER_GROUP", text, "", "WorkloadGroup to register under; empty: do not."
)
WORKLOAD_NAME: Final = row("ISTIO_META_WORKLOAD_NAME", text, "", "Name of the workload in telemetry.")
WORKLOAD_ENTRY: Final = row("ISTIO_META_WORKLOAD_ENTRY", text, "", "An existing WorkloadEntry that we are.")
POD_PORTS: Final = row(
    "ISTIO_META_POD_PORTS", _or_empty(syntax.json_list), "", "Ports of the application, JSON."
)
LABELS: Final = row(
    "ISTIO_METAJSON_LABELS", _optional(syntax.labels), "", "Labels of the workload, a JSON object."
)
ISTIO_SERVICE: Final = row(
    "ISTIO_SERVICE", text, "", "GROUP.NAMESPACE: how Envoy calls itself (serviceCluster)."
)
ISTIO_SVC_IP: Final = row(
    "ISTIO_SVC_IP",
    _or_empty(syntax.ip),
    "",
    "Address to register; by default the one that the default route sends from.",
)
INSTANCE_IP: Final = row("INSTANCE_IP", _or_empty(syntax.ip), "", "The same; ISTIO_SVC_IP wins.")
ISTIO_VERSION: Final = row(
    "ISTIO_META_ISTIO_VERSION", text, "1.29.6", "Release whose agent we behave like, as told to istiod."
)

# --- the control plane ------------------------------------------------------------------------------------

PROXY_CONFIG: Final = row("PROXY_CONFIG", text, "", "A ProxyConfig (YAML) laid over the mesh file.")
CA_ADDR: Final = row(
    "CA_ADDR",
    _optional(syntax.address),
    "",
    "Address of the certificate authority; else the discovery address.",
)
PILOT_ADDRESS: Final = row(
    "PILOT_ADDRESS",
    _optional(syntax.address),
    "",
    "Address of istiod; wins over discoveryAddress of the mesh file.",
)
PILOT_PORT: Final = row(
    "ISTIO_PILOT_PORT",
    _optional(syntax.port),
    "",
    "Port of istiod.SYSTEM_NAMESPACE.svc, where PILOT_ADDRESS is not set.",
)
SYSTEM_NAMESPACE: Final = row(
    "ISTIO_SYSTEM_NAMESPACE", syntax.label, "istio-system", "Where istiod lives: istiod.NAMESPACE.svc:15012."
)
CP_AUTH: Final = row(
    "ISTIO_CP_AUTH",
    syntax.choice("", "MUTUAL_TLS", "NONE"),
    "",
    "controlPlaneAuthPolicy: NONE talks to istiod without TLS.",
)
ISTIOD_SAN: Final = row(
    "ISTIOD_SAN", text, "", "Name that istiod's certificate must carry, for xDS and for the CA."
)
XDS_ROOT_CA: Final = row(
    "XDS_ROOT_CA", text, "", "Root certificate for xDS; SYSTEM: the operating system's trust store."
)
CA_ROOT_CA: Final = row("CA_ROOT_CA", text, "", "Root certificate for the CA; SYSTEM as above.")
CERT_PROVIDER: Final = row(
    "PILOT_CERT_PROVIDER", text, "istiod", "custom: the CA's root is ./etc/certs/root-cert.pem."
)
KEEPALIVE_INTERVAL: Final = row(
    "GRPC_KEEPALIVE_INTERVAL", positive_duration, "30s", "Silence after which the control plane is pinged."
)
KEEPALIVE_TIMEOUT: Final = row(
    "GRPC_KEEPALIVE_TIMEOUT",
    positive_duration,
    "10s",
    "Wait for that answer before the connection is given up.",
)

DELTA_XDS: Final = row(
    "ISTIO_DELTA_XDS",
    boolean,
    "true",
    "Incremental xDS, to Envoy and to istiod; false: state of the world, as before Istio 1.22.",
)

# --- names ------------------------------------------------------------------------------------------------

DNS_CAPTURE: Final = row(
    "ISTIO_META_DNS_CAPTURE", boolean, "false", "Answer the names of the mesh here, and redirect queries."
)
DNS_AUTO_ALLOCATE: Final = row(
    "ISTIO_META_DNS_AUTO_ALLOCATE", boolean, "false", "Ask istiod for addresses of services without one."
)
DNS_SERVER: Final = row(
    "ISTIO_META_ENABLE_DNS_SERVER",
    boolean,
    "false",
    "Answer the names of the mesh without redirecting queries.",
)
DNS_ADDR: Final = row("DNS_PROXY_ADDR", syntax.address, "localhost:15053", "Where names are answered.")
DNS_PARALLEL: Final = row("DNS_FORWARD_PARALLEL", boolean, "false", "Ask all resolvers of the host at once.")
DNS_TIMEOUT: Final = row(
    "DNS_FORWARD_TIMEOUT", positive_duration, "5s", "Wait for one resolver of the host at most this long."
)

# --- Envoy ------------------------------------------------------------------------------------------------

HEALTH_PORT: Final = row("ENVOY_STATUS_PORT", syntax.port, "15021", "Envoy's readiness listener.")
PROMETHEUS_PORT: Final = row("ENVOY_PROMETHEUS_PORT", syntax.port, "15090", "Envoy's Prometheus listener.")
SECURE_PORT: Final = row(
    "ENVOY_SECURE_METRICS_PORT", syntax.port_or_off, "0", "Envoy's metrics over mutual TLS; 0: off."
)
SECURE_MERGED_PORT: Final = row(
    "ENVOY_SECURE_MERGED_METRICS_PORT", syntax.port_or_off, "0", "Merged metrics over mutual TLS; 0: off."
)
SKIP_DEPRECATED: Final = row(
    "ENVOY_SKIP_DEPRECATED_LOGS", boolean, "true", "Envoy does not log the use of deprecated fields."
)
CORE_DUMP: Final = row(
    "ISTIO_ENVOY_ENABLE_CORE_DUMP", boolean, "false", "Envoy leaves a core when it crashes."
)
BOOTSTRAP_OVERRIDE: Final = row(
    "ISTIO_BOOTSTRAP_OVERRIDE", _or_empty(syntax.absolute), "", "File that Envoy merges over its bootstrap."
)
DUAL_STACK: Final = row("ISTIO_DUAL_STACK", boolean, "false", "Listen on IPv4 and IPv6.")
ENABLE_HBONE: Final = row("ISTIO_META_ENABLE_HBONE", boolean, "false", "HBONE, as told to istiod.")
METADATA_DISCOVERY: Final = row(
    "PEER_METADATA_DISCOVERY",
    _optional(boolean),
    "",
    "Metadata of peers over xDS; by default as ENABLE_HBONE.",
)
PROXY_PROTOCOL: Final = row(
    "ENVOY_STATUS_PORT_ENABLE_PROXY_PROTOCOL", boolean, "false", "PROXY protocol on the readiness listener."
)
LOCALHOST_METRICS: Final = row(
    "METRICS_LOCALHOST_ACCESS_ONLY", boolean, "false", "Metrics for callers on this machine only."
)
HOST_IP: Final = row("HOST_IP", _or_empty(syntax.ip), "", "Replaces $(HOST_IP) in addresses.")
CPU_LIMIT: Final = row(
    "ISTIO_CPU_LIMIT",
    syntax.integer(0, 4096),
    "0",
    "Worker threads of Envoy where concurrency is not set; 0: all.",
)
AGENT_FLAGS: Final = row(
    "ISTIO_AGENT_FLAGS", text, "", "Flags of pilot-agent proxy, such as --proxyLogLevel=info."
)
EXIT_ON_ZERO: Final = row(
    "EXIT_ON_ZERO_ACTIVE_CONNECTIONS", boolean, "false", "On stop, wait until no connection is left."
)
MINIMUM_DRAIN: Final = row(
    "MINIMUM_DRAIN_DURATION", duration, "5s", "Shortest wait of EXIT_ON_ZERO_ACTIVE_CONNECTIONS."
)

# --- health and metrics -----------------------------------------------------------------------------------

LEGACY_LOCALHOST: Final = row(
    "REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION",
    boolean,
    "false",
    "Probe localhost, not the machine's address.",
)
SCRAPE: Final = row(
    "ISTIO_PROMETHEUS_ANNOTATIONS",
    _optional(syntax.scrape),
    "",
    "The application's own metrics, a JSON object.",
)
MERGE_STATS: Final = row(
    "PILOT_AGENT_MERGE_ENVOY_STATS", boolean, "true", "Metrics of Envoy among those of port 15020."
)

# --- ours alone (agent.env) -------------------------------------------------------------------------------

ROLE: Final = row(
    "VMAGENT_ROLE",
    _ROLE,
    "sidecar",
    "sidecar: this machine's own traffic; router: a gateway, of which nothing is captured.",
)

LOG_LEVEL: Final = row("VMAGENT_LOG_LEVEL", _LEVEL, "info", "What the agent logs.")
LOG_FILE: Final = row(
    "VMAGENT_LOG_FILE",
    _or_empty(syntax.absolute),
    "",
    "File that agent and Envoy log to as well, such as /var/log/istio/istio.log; kept below 50 MiB.",
)
KUBE_SERVER: Final = row(
    "VMAGENT_KUBE_SERVER",
    text,
    "http://127.0.0.1:8001",
    "Kubernetes API that entry configure asks (kubectl proxy).",
)

LAST_KNOWN_GOOD: Final = row(
    "VMAGENT_LAST_KNOWN_GOOD",
    boolean,
    "true",
    "Keep what the mesh said on disk, and serve it where a start finds no control plane.",
)
LAST_KNOWN_GOOD_MAX_AGE: Final = row(
    "VMAGENT_LAST_KNOWN_GOOD_MAX_AGE",
    positive_duration,
    "24h",
    "Older than this it is not served: time since the control plane was last there.",
)

OWN: Final = "VMAGENT_"
"""Prefix of what is ours: there a name that nobody knows is a mistake wherever it stands."""
