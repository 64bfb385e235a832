"""The resolved configuration as values that cannot be wrong.

Owns:      the shape of ``Config``: one section per concern, frozen; paths are absolute, durations seconds.
Does not:  read, parse or decide (load.py and the modules it calls); know any part of the daemon. ``agent.py``
           hands each part what it needs of this, never the whole.
Surprise:  ``proxy_config`` and node metadata are plain JSON values on purpose: they go out as they came in.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vmagent.config.address import Address as Address
from vmagent.config.credential_model import Credentials as Credentials
from vmagent.config.credential_model import KeyKind as KeyKind
from vmagent.config.credential_model import MountedFiles as MountedFiles
from vmagent.config.credential_model import PairFiles as PairFiles

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
"""What YAML and JSON documents consist of."""

Role = Literal["sidecar", "router"]
"""What the proxy is for: this machine's own traffic, or that of others (a gateway)."""


# --- where values come from -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Who set a value. ``str()`` is how an operator finds it: ``/var/lib/istio/envoy/cluster.env:7``."""

    kind: Literal[
        "command line",
        "cluster.env",
        "sidecar.env",
        "agent.env",
        "mesh",
        "annotation",
        "environment",
        "default",
        "derived",
    ]
    where: str
    """``PATH:LINE`` of an env file, ``PATH: key.path`` of the mesh file, else a word or a sentence."""

    def __str__(self) -> str:
        return self.where


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A text and who set it."""

    text: str
    origin: Origin


# --- sections ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Who this machine is in the mesh."""

    name: str
    """POD_NAME, else the short host name."""
    namespace: str
    service_account: str
    trust_domain: str
    cluster_id: str
    mesh_id: str
    network: str
    group: str
    """The WorkloadGroup that istiod registers this VM under; empty: no registration."""
    workload_name: str
    service: str
    """ISTIO_SERVICE, ``rawvm`` if not set: used for the node's cluster only."""
    labels: Mapping[str, str]
    static_labels: Mapping[str, str]
    """Those of ISTIO_METAJSON_LABELS; ``labels`` has those of the pod's labels file above them."""
    ips: tuple[str, ...]
    """Never empty, canonical, the address that the mesh shall use first."""
    dns_domain: str
    given_ip: str = ""
    """What settings say the address is; empty: the machine decides, and ``ips`` may change."""
    excluded_interfaces: tuple[str, ...] = ()
    """Whose addresses have no say."""

    @property
    def address(self) -> str:
        return self.ips[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Upstream:
    """One peer of the control plane and how to know it is the right one."""

    address: Address
    server_name: str
    """The name its certificate must carry."""
    tls: bool
    root_cert: Path | None
    """None with ``tls``: the trust store of the operating system."""
    headers: tuple[tuple[str, str], ...]
    """Extra gRPC metadata on every call (XDS_HEADER_*, CA_HEADER_*), names in lower case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlPlane:
    xds: Upstream
    ca: Upstream
    delta: bool
    """Incremental xDS, to the control plane and to Envoy."""
    keepalive_interval: float
    keepalive_timeout: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Locality:
    region: str = ""
    zone: str = ""
    subzone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """The xDS node: what istiod knows us by."""

    id: str
    cluster: str
    locality: Locality
    metadata: Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Envoy:
    binary: Path
    config_dir: Path
    proxy_config: Mapping[str, Json]
    """The merged ProxyConfig as proto-JSON (lowerCamelCase, durations as ``45s``), defaults included."""
    admin_port: int
    health_port: int
    prometheus_port: int
    secure_metrics_port: int
    """0: off; so the next one."""
    secure_merged_metrics_port: int
    log_level: str
    component_log_levels: tuple[str, ...]
    """``component:level`` each."""
    concurrency: int
    """Worker threads; 0: as many as hardware threads."""
    drain_time: float
    parent_shutdown_time: float
    termination_drain: float
    exit_on_zero: bool
    """EXIT_ON_ZERO_ACTIVE_CONNECTIONS: on stop wait at least ``minimum_drain``, then until none is left."""
    minimum_drain: float
    file_flush_interval: float
    file_flush_min_kb: int
    skip_deprecated_logs: bool
    core_dump: bool
    custom_config_file: Path | None
    bootstrap_override: Path | None
    outlier_log: Path | None
    dual_stack: bool
    metadata_discovery: bool
    status_proxy_protocol: bool
    metrics_localhost_only: bool
    xds_socket: Path
    host_ip: str
    """Replaces ``$(HOST_IP)`` in addresses; may be empty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dns:
    enabled: bool
    """Answer names here. Whether queries are redirected is CaptureInputs' ISTIO_META_DNS_CAPTURE."""
    auto_allocate: bool
    listen: Address
    """A host of ``localhost`` is kept: which loopback addresses that means depends on resolv.conf."""
    namespace: str
    domain: str
    forward_timeout: float
    parallel: bool
    resolv_conf: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpGet:
    port: int
    path: str = "/"
    host: str = ""
    """Empty: ``Probe.default_host``; so in the other methods."""
    scheme: Literal["http", "https"] = "http"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpSocket:
    port: int
    host: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Exec:
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grpc:
    port: int
    service: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """The application's readiness probe (WorkloadGroup ``probe``). Times in seconds."""

    method: HttpGet | TcpSocket | Exec | Grpc
    default_host: str
    """The first address of the workload, or ``localhost`` with REWRITE_PROBE_LEGACY_LOCALHOST_DESTINATION."""
    initial_delay: float = 0.0
    timeout: float = 1.0
    period: float = 10.0
    success_threshold: int = 1
    failure_threshold: int = 3
    """3 as Istio's API documents; Istio's code uses 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScrapeTarget:
    """The application's own metrics: http://localhost:PORT/PATH."""

    port: int
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    port: int
    merge_envoy_stats: bool
    metrics_localhost_only: bool
    scrape: tuple[ScrapeTarget, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureInputs:
    """What istio-iptables reads, still as text: the capture room types it."""

    values: Mapping[str, Value]
    """Only names that somebody set; and always ISTIO_META_DNS_CAPTURE, resolved: ``true`` or ``false``."""
    custom: bool
    """ISTIO_CUSTOM_IP_TABLES: the operator writes the rules, we write none."""
    role: Role
    """A router's traffic is never captured: the control plane sends it no listener for that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """What is ours alone (agent.env)."""

    log_level: Literal["debug", "info", "warn", "error"]
    log_file: Path | None
    """None: standard output alone."""
    last_known_good: bool = True
    last_known_good_max_age: float = 24 * 3600.0
    """Seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    role: Role
    workload: Workload
    control_plane: ControlPlane
    credentials: Credentials
    node: Node
    envoy: Envoy
    dns: Dns
    probe: Probe | None
    status: Status
    capture: CaptureInputs
    agent: Agent
    origins: Mapping[str, tuple[Value, ...]]
    """By environment name or ``defaultConfig.KEY``: first the value that counts, then those it overrode."""
