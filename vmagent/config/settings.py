"""The environment variables an operator may set: one row each, honoured or known to be without effect here.

Owns:      name, parser, default (as an operator would write it), help; derived from it: ``config show``,
           ``config explain``, what counts as misspelt.
Does not:  know where values come from (layers.py) or what is made of them (sections.py and its neighbours).
Surprise:  a variable set to nothing means its default, unless the row says that empty is an answer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Generic, Literal, TypeVar

from vmagent.config import syntax
from vmagent.config.syntax import boolean, duration, positive_duration, text

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting(Generic[T]):
    name: str
    parse: Callable[[str], T]
    default: str
    help: str
    empty_counts: bool = False
    """``NAME=''`` is an answer, not the same as leaving the line out."""


SETTINGS: dict[str, Setting[Any]] = {}

_CURVE: Callable[[str], Literal["P256", "P384"]] = syntax.choice("P256", "P384")
_LEVEL: Callable[[str], Literal["debug", "info", "warn", "error"]] = syntax.choice(
    "debug", "info", "warn", "error"
)
_POLICY: Callable[[str], Literal["open", "closed"]] = syntax.choice("open", "closed")
_BACKEND: Callable[[str], Literal["auto", "iptables", "nftables"]] = syntax.choice(
    "auto", "iptables", "nftables"
)


def _row(name: str, parse: Callable[[str], T], default: str, help: str, *, empty: bool = False) -> Setting[T]:
    setting = Setting(name=name, parse=parse, default=default, help=help, empty_counts=empty)
    SETTINGS[name] = setting
    return setting


def _optional(parse: Callable[[str], T]) -> Callable[[str], T | None]:
    return lambda value: parse(value) if value else None


def _or_empty(parse: Callable[[str], str]) -> Callable[[str], str]:
    return lambda value: parse(value) if value else ""


# --- who we are -------------------------------------------------------------------------------------------

POD_NAME: Final = _row(
    "POD_NAME", text, "", "Name of this machine in the mesh; the short host name by default."
)
ISTIO_NAMESPACE: Final = _row(
    "ISTIO_NAMESPACE", _or_empty(syntax.label), "", "Namespace of the workload; wins over POD_NAMESPACE."
)
POD_NAMESPACE: Final = _row(
    "POD_NAMESPACE", syntax.label, "default", "Namespace of the workload where ISTIO_NAMESPACE is not set."
)
SERVICE_ACCOUNT: Final = _row(
    "SERVICE_ACCOUNT", _or_empty(syntax.domain), "", "Service account whose token and certificate we hold."
)
TRUST_DOMAIN: Final = _row(
    "TRUST_DOMAIN",
    _or_empty(syntax.domain),
    "",
    "Trust domain of our SPIFFE name; else the mesh file's trustDomain, else cluster.local.",
)
CLUSTER_ID: Final = _row("ISTIO_META_CLUSTER_ID", text, "", "Cluster whose control plane we belong to.")
MESH_ID: Final = _row("ISTIO_META_MESH_ID", text, "", "Mesh that telemetry is labelled with.")
NETWORK: Final = _row("ISTIO_META_NETWORK", text, "", "Network of this machine; empty: the cluster's own.")
GROUP: Final = _row(
    "ISTIO_META_AUTO_REGISTER_GROUP", text, "", "WorkloadGroup to register under; empty: do not."
)
WORKLOAD_NAME: Final = _row("ISTIO_META_WORKLOAD_NAME", text, "", "Name of the workload in telemetry.")
WORKLOAD_ENTRY: Final = _row("ISTIO_META_WORKLOAD_ENTRY", text, "", "An existing WorkloadEntry that we are.")
POD_PORTS: Final = _row(
    "ISTIO_META_POD_PORTS", _or_empty(syntax.json_list), "", "Ports of the application, JSON."
)
LABELS: Final = _row(
    "ISTIO_METAJSON_LABELS", _optional(syntax.labels), "", "Labels of the workload, a JSON object."
)
ISTIO_SERVICE: Final = _row(
    "ISTIO_SERVICE", text, "", "GROUP.NAMESPACE: how Envoy calls itself (serviceCluster)."
)
ISTIO_SVC_IP: Final = _row(
    "ISTIO_SVC_IP",
    _or_empty(syntax.ip),
    "",
    "Address to register; by default the one that the default route sends from.",
)
INSTANCE_IP: Final = _row("INSTANCE_IP", _or_empty(syntax.ip), "", "The same; ISTIO_SVC_IP wins.")
ISTIO_VERSION: Final = _row(
    "ISTIO_META_ISTIO_VERSION", text, "1.29.6", "Release whose agent we behave like, as told to istiod."
)

# --- the control plane ------------------------------------------------------------------------------------

PROXY_CONFIG: Final = _row("PROXY_CONFIG", text, "", "A ProxyConfig (YAML) laid over the mesh file.")
CA_ADDR: Final = _row(
    "CA_ADDR",
    _optional(syntax.address),
    "",
    "Address of the certificate authority; else the discovery address.",
)
PILOT_ADDRESS: Final = _row(
    "PILOT_ADDRESS",
    _optional(syntax.address),
    "",
    "Address of istiod; wins over discoveryAddress of the mesh file.",
)
PILOT_PORT: Final = _row(
    "ISTIO_PILOT_PORT",
    _optional(syntax.port),
    "",
    "Port of istiod.SYSTEM_NAMESPACE.svc, where PILOT_ADDRESS is not set.",
)
SYSTEM_NAMESPACE: Final = _row(
    "ISTIO_SYSTEM_NAMESPACE", syntax.label, "istio-system", "Where istiod lives: istiod.NAMESPACE.svc:15012."
)
CP_AUTH: Final = _row(
    "ISTIO_CP_AUTH",
    syntax.choice("", "MUTUAL_TLS", "NONE"),
    "",
    "controlPlaneAuthPolicy: NONE talks to istiod without TLS.",
)
ISTIOD_SAN: Final = _row(
    "ISTIOD_SAN", text, "", "Name that istiod's certificate must carry, for xDS and for the CA."
)
XDS_ROOT_CA: Final = _row(
    "XDS_ROOT_CA", text, "", "Root certificate for xDS; SYSTEM: the operating system's trust store."
)
CA_ROOT_CA: Final = _row("CA_ROOT_CA", text, "", "Root certificate for the CA; SYSTEM as above.")
CERT_PROVIDER: Final = _row(
    "PILOT_CERT_PROVIDER", text, "istiod", "custom: the CA's root is ./etc/certs/root-cert.pem."
)
KEEPALIVE_INTERVAL: Final = _row(
    "GRPC_KEEPALIVE_INTERVAL", positive_duration, "30s", "Silence after which the control plane is pinged."
)
KEEPALIVE_TIMEOUT: Final = _row(
    "GRPC_KEEPALIVE_TIMEOUT",
    positive_duration,
    "10s",
    "Wait for that answer before the connection is given up.",
)

# --- credentials ------------------------------------------------------------------------------------------

PROV_CERT: Final = _row(
    "PROV_CERT",
    text,
    "./etc/certs",
    "Directory of certificates to authenticate with; empty: token only.",
    empty=True,
)
OUTPUT_CERTS: Final = _row(
    "OUTPUT_CERTS",
    text,
    "./etc/certs",
    "Directory that our certificates are written to; empty: none.",
    empty=True,
)
SECRET_TTL: Final = _row("SECRET_TTL", positive_duration, "24h", "Lifetime of certificate to ask for.")
GRACE_RATIO: Final = _row(
    "SECRET_GRACE_PERIOD_RATIO", syntax.ratio, "0.5", "Renew when this part of the lifetime is left."
)
GRACE_JITTER: Final = _row(
    "SECRET_GRACE_PERIOD_RATIO_JITTER", syntax.jitter, "0.01", "Spread of that moment over a fleet."
)
ECC: Final = _row(
    "ECC_SIGNATURE_ALGORITHM",
    syntax.choice("ECDSA", ""),
    "ECDSA",
    "Kind of key: ECDSA, or empty for RSA.",
    empty=True,
)
ECC_CURVE: Final = _row("ECC_CURVE", _CURVE, "P256", "Curve of an ECDSA key.")
RSA_BITS: Final = _row(
    "WORKLOAD_RSA_KEY_SIZE",
    syntax.integer(2048, 8192),
    "2048",
    "Bits of an RSA key; set without ECC_SIGNATURE_ALGORITHM it chooses RSA.",
)
PKCS8: Final = _row("PKCS8_KEY", boolean, "false", "Write private keys as PKCS#8.")
CERT_SIGNER: Final = _row("ISTIO_META_CERT_SIGNER", text, "", "Signer that the CA shall use.")
SOCKET_FILE: Final = _row(
    "WORKLOAD_IDENTITY_SOCKET_FILE",
    syntax.file_name,
    "socket",
    "SDS socket, a name below /var/run/secrets/workload-spiffe-uds.",
)

# --- names ------------------------------------------------------------------------------------------------

DNS_CAPTURE: Final = _row(
    "ISTIO_META_DNS_CAPTURE", boolean, "false", "Answer the names of the mesh here, and redirect queries."
)
DNS_AUTO_ALLOCATE: Final = _row(
    "ISTIO_META_DNS_AUTO_ALLOCATE", boolean, "false", "Ask istiod for addresses of services without one."
)
DNS_SERVER: Final = _row(
    "ISTIO_META_ENABLE_DNS_SERVER",
    boolean,
    "false",
    "Answer the names of the mesh without redirecting queries.",
)
DNS_ADDR: Final = _row("DNS_PROXY_ADDR", syntax.address, "localhost:15053", "Where names are answered.")
DNS_PARALLEL: Final = _row("DNS_FORWARD_PARALLEL", boolean, "false", "Ask all resolvers of the host at once.")
DNS_TIMEOUT: Final = _row(
    "DNS_FORWARD_TIMEOUT", positive_duration, "5s", "Wait for one resolver of the host at most this long."
)

# --- Envoy ------------------------------------------------------------------------------------------------

HEALTH_PORT: Final = _row("ENVOY_STATUS_PORT", syntax.port, "15021", "Envoy's readiness listener.")
PROMETHEUS_PORT: Final = _row("ENVOY_PROMETHEUS_PORT", syntax.port, "15090", "Envoy's Prometheus listener.")
SECURE_PORT: Final = _row(
    "ENVOY_SECURE_METRICS_PORT", syntax.port_or_off, "0", "Envoy's metrics over mutual TLS; 0: off."
)
SECURE_MERGED_PORT: Final = _row(
    "ENVOY_SECURE_MERGED_METRICS_PORT", syntax.port_or_off, "0", "Merged metrics over mutual TLS; 0: off."
)
SKIP_DEPRECATED: Final = _row(
    "ENVOY_SKIP_DEPRECATED_LOGS", boolean, "true", "Envoy does not log the use of deprecated fields."
)
CORE_DUMP: Final = _row(
    "ISTIO_ENVOY_ENABLE_CORE_DUMP", boolean, "false", "Envoy leaves a core when it crashes."
)
BOOTSTRAP_OVERRIDE: Final = _row(
    "ISTIO_BOOTSTRAP_OVERRIDE", _or_empty(syntax.absolute), "", "File that Envoy merges over its bootstrap."
)
DELTA_XDS: Final = _row(
    "ISTIO_DELTA_XDS", boolean, "false", "Incremental xDS between Envoy, us and istiod (Istio: true)."
)
DUAL_STACK: Final = _row("ISTIO_DUAL_STACK", boolean, "false", "Listen on IPv4 and IPv6.")
ENABLE_HBONE: Final = _row("ISTIO_META_ENABLE_HBONE", boolean, "false", "HBONE, as told to istiod.")
METADATA_DISCOVERY: Final = _row(
    "PEER_METADATA_DISCOVERY",
    _optional(boolean),
    "",
    "Metadata of peers over xDS; by default as ENABLE_HBONE.",
)
PROXY_PROTOCOL: Final = _row(
    "ENVOY_STATUS_PORT_ENABLE_PROXY_PROTOCOL", boolean, "false", "PROXY protocol on the readiness listener."
)
LOCALHOST_METRICS: Final = _row(
    "METRICS_LOCALHOST_ACCESS_ONLY", boolean, "false", "Metrics for callers on this machine only."
)
HOST_IP: Final = _row("HOST_IP", _or_empty(syntax.ip), "", "Replaces $(HOST_IP) in addresses.")
CPU_LIMIT: Final = _row(
    "ISTIO_CPU_LIMIT",
    syntax.integer(0, 4096),
    "0",
    "Worker threads of Envoy where concurrency is not set; 0: all.",
)
AGENT_FLAGS: Final = _row(
    "ISTIO_AGENT_FLAGS", text, "", "Flags of pilot-agent proxy, such as --proxyLogLevel=info."
)
EXIT_ON_ZERO: Final = _row(
    "EXIT_ON_ZERO_ACTIVE_CONNECTIONS", boolean, "false", "On stop, wait until no connection is left."
)
MINIMUM_DRAIN: Final = _row(
    "MINIMUM_DRAIN_DURATION", duration, "5s", "Shortest wait of EXIT_ON_ZERO_ACTIVE_CONNECTIONS."
)

# --- health and metrics -----------------------------------------------------------------------------------

LEGACY_LOCALHOST: Final = _row(
    "REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION",
    boolean,
    "false",
    "Probe localhost, not the machine's address.",
)
SCRAPE: Final = _row(
    "ISTIO_PROMETHEUS_ANNOTATIONS",
    _optional(syntax.scrape),
    "",
    "The application's own metrics, a JSON object.",
)
MERGE_STATS: Final = _row(
    "PILOT_AGENT_MERGE_ENVOY_STATS", boolean, "true", "Metrics of Envoy among those of port 15020."
)

# --- ours alone (agent.env) -------------------------------------------------------------------------------

LOG_LEVEL: Final = _row("VMAGENT_LOG_LEVEL", _LEVEL, "info", "What the agent logs.")
RUN_DIR: Final = _row("VMAGENT_RUN_DIR", syntax.absolute, "/run/istio-agent", "Lock, gates and status.")
STATE_DIR: Final = _row("VMAGENT_STATE_DIR", syntax.absolute, "/var/lib/istio/data", "Last known good state.")
CAPTURE_POLICY: Final = _row(
    "VMAGENT_CAPTURE_POLICY",
    _POLICY,
    "open",
    "When the proxy cannot serve: open lets traffic go direct, closed makes it wait.",
)
CAPTURE_BACKEND: Final = _row(
    "VMAGENT_CAPTURE_BACKEND",
    _BACKEND,
    "auto",
    "What writes the rules; auto: the flavour of iptables that this host uses.",
)
KUBE_SERVER: Final = _row(
    "VMAGENT_KUBE_SERVER",
    text,
    "http://127.0.0.1:8001",
    "Kubernetes API that entry configure asks (kubectl proxy).",
)

OWN: Final = "VMAGENT_"
"""Prefix of what is ours: there a name that nobody knows is a mistake wherever it stands."""

# --- capture: typed by the capture room -------------------------------------------------------------------

CUSTOM_IP_TABLES: Final = _row(
    "ISTIO_CUSTOM_IP_TABLES", boolean, "false", "The operator writes the rules; the agent writes none."
)
CAPTURE: Final[dict[str, str]] = {
    "INBOUND_CAPTURE_PORT": "Port that inbound connections are redirected to (15006).",
    "INBOUND_TUNNEL_PORT": "HBONE port (15008).",
    "PROXY_UID": "User whose traffic is not captured; else that of ENVOY_USER.",
    "PROXY_GID": "Group whose traffic is not captured; else that of ENVOY_USER.",
    "ENVOY_USER": "User that the proxy runs as (istio-proxy).",
    "ISTIO_INBOUND_INTERCEPTION_MODE": "REDIRECT or TPROXY.",
    "ISTIO_INBOUND_PORTS": "Inbound ports to capture; * for all.",
    "ISTIO_LOCAL_EXCLUDE_PORTS": "Inbound ports not to capture, with ISTIO_INBOUND_PORTS=*.",
    "ISTIO_EXCLUDE_INTERFACES": "Interfaces whose traffic is not captured.",
    "ISTIO_SERVICE_CIDR": "Outbound addresses to capture; * for all.",
    "ISTIO_SERVICE_EXCLUDE_CIDR": "Outbound addresses not to capture.",
    "ISTIO_OUTBOUND_PORTS": "Outbound ports to capture besides ISTIO_SERVICE_CIDR.",
    "ISTIO_LOCAL_OUTBOUND_PORTS_EXCLUDE": "Outbound ports not to capture.",
    "KUBE_VIRT_INTERFACES": "Bridges whose inbound traffic counts as outbound.",
    "ISTIO_INBOUND_TPROXY_MARK": "Mark of TPROXY (1337).",
    "ISTIO_INBOUND_TPROXY_ROUTE_TABLE": "Routing table of TPROXY (133).",
    "REDIRECT_DNS": "Redirect queries; ISTIO_META_DNS_CAPTURE counts first.",
    "CAPTURE_ALL_DNS": "Redirect queries to any resolver, not only those of resolv.conf.",
    "DROP_INVALID": "Drop packets that conntrack calls invalid.",
    "INVALID_DROP": "The same.",
    "DUAL_STACK": "Capture IPv4 and IPv6; ISTIO_DUAL_STACK counts first.",
    "ISTIO_OUTBOUND_OWNER_GROUPS": "Groups whose outbound traffic is captured (*).",
    "ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE": "Groups whose outbound traffic is not captured.",
    "ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR": "Loopback range of outbound rules (127.0.0.1/32).",
    "NATIVE_NFTABLES": "Write rules with nft.",
    "FORCE_IPTABLES_BINARY": "legacy or nft.",
}
for _name, _help in CAPTURE.items():
    _row(_name, text, "", _help, empty=True)

# --- known, and without effect here -----------------------------------------------------------------------

_NOT_ON_A_VM = "Kubernetes only"
_NOT_READ = "read by nothing in Istio either"
_CLOUD = "no cloud is asked at start; set labels, topology.istio.io/locality among them"
_ONE_SHOT = "an option of one-shot commands: vmagent capture plan, verify, remove"

UNUSED: Final[dict[str, str]] = {
    # why it has no effect; empty: istioctl writes it everywhere, nobody needs to be told
    "XDS_AUTH_PROVIDER": "the token authenticates",
    "JWT_POLICY": "every token is a third-party token",
    "CA_PROVIDER": "the CA speaks istio.v1.auth (Citadel)",
    "FILE_DEBOUNCE_DURATION": "changed files are taken up at once",
    "FILE_MOUNTED_CERTS": "certificates come from the CA",
    "CREDENTIAL_FETCHER_TYPE": "the token file is the credential",
    "CREDENTIAL_IDENTITY_PROVIDER": "the token file is the credential",
    "ISTIO_META_ENABLE_SELF_DISCOVERY": "told to istiod, no local_cluster is made",
    "PROXY_CONFIG_XDS_AGENT": "trust bundles come with the certificate",
    "WASM_INSECURE_REGISTRIES": "no Wasm is fetched",
    "WASM_MODULE_EXPIRY": "no Wasm is fetched",
    "WASM_PURGE_INTERVAL": "no Wasm is fetched",
    "WASM_HTTP_REQUEST_TIMEOUT": "no Wasm is fetched",
    "WASM_HTTP_REQUEST_MAX_RETRIES": "no Wasm is fetched",
    "ISTIO_AGENT_ENABLE_WASM_REMOTE_LOAD_CONVERSION": "no Wasm is fetched",
    "ISTIO_WASM_MAX_BINARY_SIZE_BYTES": "no Wasm is fetched",
    "BLOCKED_CIDRS_IN_WASM_FETCH": "no Wasm is fetched",
    "GRPC_XDS_BOOTSTRAP": "no proxyless gRPC",
    "DISABLE_ENVOY": "no proxyless gRPC",
    "ISTIO_KUBE_APP_PROBERS": _NOT_ON_A_VM,
    "ISTIO_ENABLE_HTTP2_PROBING": _NOT_ON_A_VM,
    "ENABLE_PROBE_KEEPALIVE_CONNECTIONS": _NOT_ON_A_VM,
    "KUBERNETES_SERVICE_HOST": _NOT_ON_A_VM,
    "ISTIO_BOOTSTRAP": "the bootstrap is built, not rendered; ISTIO_BOOTSTRAP_OVERRIDE is laid over it",
    "HTTP_STRIP_FRAGMENT_FROM_PATH_UNSAFE_IF_DISABLED": "Envoy's default holds",
    "CLOUD_PLATFORM": _CLOUD,
    "GCP_METADATA": _CLOUD,
    "GCP_QUOTA_PROJECT": _CLOUD,
    "GCP_ZONE": _CLOUD,
    "GCE_METADATA_HOST": _CLOUD,
    "COMPLIANCE_POLICY": "not supported",
    "TOKEN_AUDIENCES": "istiod checks audiences",
    "PILOT_ENABLE_CA_CRL": "not supported",
    "ISTIO_INBOUND_EXCLUDE_PORTS": f"{_NOT_READ}; you want ISTIO_LOCAL_EXCLUDE_PORTS",
    "ENVOY_PORT": _NOT_READ,
    "ISTIO_CFG": _NOT_READ,
    "INBOUND_INTERCEPTION_MODE": f"{_NOT_READ}; you want ISTIO_INBOUND_INTERCEPTION_MODE",
    "INBOUND_TPROXY_MARK": f"{_NOT_READ}; you want ISTIO_INBOUND_TPROXY_MARK",
    "ISTIO_BIN_BASE": "ProxyConfig.binaryPath says where Envoy is",
    "ISTIO_LOG_DIR": "the unit says where logs go",
    "EXEC_USER": "the unit says who runs the agent",
    "ISTIO_SIDECAR_CONFIG": "give --sidecar-env",
    "ISTIO_CLUSTER_CONFIG": "give --cluster-env",
    "CANONICAL_SERVICE": "",
    "CANONICAL_REVISION": "",
    "DRY_RUN": _ONE_SHOT,
    "DRY_RUN_FILE_PATH": _ONE_SHOT,
    "IPTABLES_PROBE_PORT": _ONE_SHOT,
    "PROBE_TIMEOUT": _ONE_SHOT,
    "SKIP_RULE_APPLY": _ONE_SHOT,
    "RUN_VALIDATION": _ONE_SHOT,
    "RECONCILE": "the rules are always reconciled",
    "CLEANUP_ONLY": _ONE_SHOT,
    "FORCE_APPLY": "the rules are always reconciled",
    "NETWORK_NAMESPACE": _NOT_ON_A_VM,
    "CNI_MODE": _NOT_ON_A_VM,
}

OPEN_PREFIXES: Final = ("ISTIO_META_", "ISTIO_METAJSON_", "XDS_HEADER_", "CA_HEADER_")
"""Names that operators make up: node metadata and extra headers."""
