"""What one control plane was told at its start.

Owns istiod's environment names and their parsing. It reads no environment of its own: ``main.py`` passes a
mapping.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, Self

from lab.controlplane.mesh import Allocation
from lab.controlplane.timestamps import parse_duration

MAX_CONNECTION_AGE: Final = 30 * 60.0
"""Seconds until a stream is told to go away, as Istio's Helm chart sets it."""


class BadSetting(Exception):
    """A flag or a variable that a person must edit; the message names it and its value."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to listen. Port 0 lets the kernel choose; the running control plane tells what it chose."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        host, colon, port = text.rpartition(":")
        if not colon or not port.isdigit() or int(port) > 65535:
            raise ValueError(f"{text!r} is not HOST:PORT")
        return cls(host.removeprefix("[").removesuffix("]"), int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    resources: Path
    """Directory of YAML files, read live."""
    state: Path
    """Directory for what must survive a restart: keys of the CA and the token issuer, objects made by us."""
    listen: Endpoint = Endpoint("0.0.0.0", 15012)
    api: Endpoint = Endpoint("127.0.0.1", 8001)
    monitoring: Endpoint = Endpoint("0.0.0.0", 15014)
    """Metrics and /debug, plain HTTP, nothing to change there."""
    names: tuple[str, ...] = ()
    """More names and addresses for the serving certificate, beside istiod's own."""
    autoregistration: bool = True
    healthchecks: bool = True
    validate_identity: bool = True
    grace_period: float = 10.0
    """Seconds a disconnected WorkloadEntry stays."""
    default_certificate_ttl: float = 24 * 3600.0
    max_certificate_ttl: float = 90 * 24 * 3600.0
    max_connection_age: float = MAX_CONNECTION_AGE
    keepalive_interval: float = 30.0
    """Seconds of silence after which a client is pinged."""
    keepalive_timeout: float = 10.0
    """Seconds without an answer after which it counts as gone: a machine whose address went cannot say so."""
    debounce: float = 0.1
    """Seconds of quiet before a change is pushed (PILOT_DEBOUNCE_AFTER)."""
    debounce_most: float = 10.0
    """Seconds a change waits at most, however busy the world is (PILOT_DEBOUNCE_MAX)."""
    debounce_endpoints: bool = True
    """Whether a change of endpoints alone waits too (PILOT_ENABLE_EDS_DEBOUNCE), as it does with istiod."""
    resource_versions: bool = True
    """Whether resources of a delta response carry versions. Off is istiod 1.29: they are empty, and a client
    that reconnects gets everything again."""
    poll: float = 0.2
    """Seconds between two looks at the resource directory."""
    allocation: Allocation = Allocation.NEXT_FREE
    ip_autoallocate: bool = True
    dual_stack: bool = False
    """Proxies that have addresses of both families are told of both."""
    istio_filters: bool = False
    """Clusters and listeners have Istio's own extensions, which a stock Envoy rejects."""
    controller: str = "istiod-lab"
    """What istiod takes from POD_NAME: written into the entries it owns."""
    cluster_id: str = "Kubernetes"
    trust_domain: str = "cluster.local"
    issuer: str = "https://kubernetes.default.svc.cluster.local"
    audience: str = "istio-ca"

    @property
    def extra_names(self) -> tuple[str, ...]:
        """``names`` plus the listening address, if it is one that a client can ask for."""
        wildcard = ip_address(self.listen.host).is_unspecified if _is_ip(self.listen.host) else False
        return self.names if wildcard else (*self.names, self.listen.host)


def _is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def boolean(text: str) -> bool:
    """Go's strconv.ParseBool, which is what istiod reads its switches with."""
    if text in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if text in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise ValueError(f"{text!r} is neither true nor false")


VARIABLES: Final[Mapping[str, tuple[str, Callable[[str], Any]]]] = {
    "PILOT_ENABLE_WORKLOAD_ENTRY_AUTOREGISTRATION": ("autoregistration", boolean),
    "PILOT_ENABLE_WORKLOAD_ENTRY_HEALTHCHECKS": ("healthchecks", boolean),
    "PILOT_WORKLOAD_ENTRY_GRACE_PERIOD": ("grace_period", parse_duration),
    "ISTIO_WORKLOAD_ENTRY_VALIDATE_IDENTITY": ("validate_identity", boolean),
    "DEFAULT_WORKLOAD_CERT_TTL": ("default_certificate_ttl", parse_duration),
    "MAX_WORKLOAD_CERT_TTL": ("max_certificate_ttl", parse_duration),
    "PILOT_ENABLE_IP_AUTOALLOCATE": ("ip_autoallocate", boolean),
    "PILOT_DEBOUNCE_AFTER": ("debounce", parse_duration),
    "PILOT_DEBOUNCE_MAX": ("debounce_most", parse_duration),
    "PILOT_ENABLE_EDS_DEBOUNCE": ("debounce_endpoints", boolean),
    "ISTIO_DUAL_STACK": ("dual_stack", boolean),
    "POD_NAME": ("controller", str),
    "CLUSTER_ID": ("cluster_id", str),
}


def with_environment(settings: Settings, environment: Mapping[str, str]) -> Settings:
    """istiod's own variables over ``settings``. Raises BadSetting with every variable that does not parse."""
    values: dict[str, Any] = {}
    problems = []
    for variable, (field, parse) in VARIABLES.items():
        text = environment.get(variable, "")
        if not text:
            continue
        try:
            values[field] = parse(text)
        except ValueError as why:
            problems.append(f"{variable}: {why}")
    if problems:
        raise BadSetting("; ".join(problems))
    return replace(settings, **values)
