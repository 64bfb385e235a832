"""Everything this room is told, as values.

Owns:      the shape of ``EnvoyConfig``.
Does not:  read the environment or a file; know where a value came from. ``agent.py`` fills it.
Surprise:  ``proxy_config`` and node metadata stay plain JSON: most of it goes into the bootstrap as it came.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
Object = dict[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    id: str
    cluster: str
    locality: Mapping[str, str] = field(default_factory=dict)
    """``region``, ``zone``, ``sub_zone``; empty ones are left out."""
    metadata: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """TCP ports. 0 switches a listener off, where that is allowed."""

    admin: int = 15000
    """Envoy's admin interface, loopback only."""
    agent: int = 15020
    """The agent's own status server, where Envoy's health listener forwards to."""
    health: int = 15021
    prometheus: int = 15090
    secure_metrics: int = 0
    secure_merged_metrics: int = 0

    @property
    def envoys(self) -> frozenset[int]:
        """Those that Envoy itself listens on, whatever the control plane says."""
        mine = (self.admin, self.health, self.prometheus, self.secure_metrics, self.secure_merged_metrics)
        return frozenset(port for port in mine if port)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Seconds. Defaults are Istio's, except ``parent_shutdown``, which Istio no longer sets."""

    drain: float = 45.0
    """Envoy's drain after a hot restart or the removal of a listener."""
    parent_shutdown: float = 60.0
    """When a hot-restarted Envoy ends its parent; more than ``drain``, or it would cut the drain short."""
    termination_drain: float = 5.0
    """How long a stop leaves connections time to finish."""
    minimum_drain: float = 5.0
    """With ``exit_on_zero``: before that nobody counts connections."""
    file_flush: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvoyConfig:
    node: Node
    proxy_config: Mapping[str, Json] = field(default_factory=dict)
    """The merged ProxyConfig as proto-JSON: lowerCamelCase, durations as ``45s``."""
    ips: tuple[str, ...]
    """The machine's addresses, the first one most important: they decide between IPv4 and IPv6."""
    dual_stack: bool = False
    ports: Ports = Ports()
    timing: Timing = Timing()

    binary: Path = Path("/usr/local/bin/envoy")
    config_dir: Path = Path("/etc/istio/proxy")
    run_dir: Path = Path("/run/istio-agent")
    """Holds ``envoy.pid``: pid and birth time, for whoever must recognise our Envoy later."""
    data_dir: Path = Path("/var/lib/istio/data")
    xds_socket: Path = Path("/etc/istio/proxy/XDS")
    sds_socket: Path = Path("/var/run/secrets/workload-spiffe-uds/socket")
    credential_socket: Path = Path("/var/run/secrets/credential-uds/files-socket")
    custom_config_file: Path | None = None
    """This file *is* Envoy's configuration: nothing is generated, and the restart epoch merged over it."""
    bootstrap_override: Path | None = None
    """YAML or JSON that Envoy merges over the bootstrap."""
    outlier_log: Path | None = None

    log_level: str = "warning"
    component_log_levels: tuple[str, ...] = ()
    """``component:level`` each."""
    log_as_json: bool = False
    skip_deprecated_logs: bool = True
    core_dump: bool = False
    concurrency: int = 0
    """Worker threads; 0: as many as hardware threads."""
    file_flush_min_kb: int = 0

    exit_on_zero: bool = False
    """A stop waits until no connection is left (within the supervisor's grace), not for a fixed time."""
    advice: str = ""
    """What an operator can do if listeners are rejected; empty: nothing is known."""
    drains_inbound_only: bool = True
    """A stop asks connections to leave that came from outside. False: all of them, for a router's listeners
    count as outbound."""
    delta_xds: bool = True
    metadata_discovery: bool = False
    status_proxy_protocol: bool = False
    metrics_localhost_only: bool = False
    fips: bool = False
    host_ip: str = ""
    """Replaces ``$(HOST_IP)`` in addresses and in the override file."""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The whole environment of Envoy. Nothing of the agent's own is inherited."""
