"""Environment names that Istio knows and that have no effect here, each with the reason.

Owns:      that list, and the prefixes under which operators make names up.
Does not:  know the settings that have an effect (settings.py, capture_settings.py).
"""

from typing import Final

_NOT_ON_A_VM = "Kubernetes only"
_NOT_READ = "read by nothing in Istio either"
_CLOUD = "no cloud is asked at start; set labels, topology.istio.io/locality among them"
_ONE_SHOT = "an option of one-shot commands: vmagent capture plan, verify, remove"

UNUSED: Final[dict[str, str]] = {
    # why it has no effect; empty: istioctl writes it everywhere, nobody needs to be told
    "XDS_AUTH_PROVIDER": "the token authenticates",
    "JWT_POLICY": "every token is a third-party token",
    "FILE_DEBOUNCE_DURATION": "changed files are taken up at once",
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
