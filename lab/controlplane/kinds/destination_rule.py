"""DestinationRule: how the endpoints of a host are reached, and the groups (subsets) they fall into.

Does not:  complete short host names, merge several rules of a host or choose one (snapshot/rules.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final

from lab.controlplane.kinds.document import Field
from lab.controlplane.kinds.load_balancer import LoadBalancer, read_load_balancer
from lab.controlplane.kinds.metadata import Metadata, read_export_to, read_metadata

TLS_MODES: Final = ("DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL")
_OF_A_PORT: Final = ("loadBalancer", "connectionPool", "outlierDetection", "tls")
_OF_A_POLICY: Final = (*_OF_A_PORT, "portLevelSettings", "tunnel", "proxyProtocol", "retryBudget")
_UPGRADES: Final = ("DEFAULT", "DO_NOT_UPGRADE", "UPGRADE")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTls:
    mode: str
    client_certificate: str = ""
    private_key: str = ""
    ca_certificates: str = ""
    credential: str = ""
    """A Secret, in place of files."""
    sni: str = ""
    subject_alt_names: tuple[str, ...] = ()
    skip_verify: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Keepalive:
    probes: int = 0
    time: float | None = None
    interval: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionPool:
    """Durations in seconds; 0 and None: not said."""

    max_connections: int = 0
    connect_timeout: float | None = None
    tcp_idle_timeout: float | None = None
    max_duration: float | None = None
    keepalive: Keepalive | None = None
    pending_requests: int = 0
    requests: int = 0
    requests_per_connection: int = 0
    retries: int = 0
    http_idle_timeout: float | None = None
    concurrent_streams: int = 0
    upgrade: str = "DEFAULT"
    client_protocol: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OutlierDetection:
    consecutive_5xx: int | None = None
    gateway_errors: int | None = None
    interval: float | None = None
    base_ejection_time: float | None = None
    max_ejection_percent: int = 0
    min_health_percent: int = 0
    split_local_errors: bool = False
    local_origin_failures: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficPolicy:
    load_balancer: LoadBalancer | None = None
    connection_pool: ConnectionPool | None = None
    outlier: OutlierDetection | None = None
    tls: ClientTls | None = None
    ports: Mapping[int, "TrafficPolicy"] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subset:
    name: str
    labels: Mapping[str, str] = field(default_factory=dict)
    policy: TrafficPolicy | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationRule:
    KIND: ClassVar[str] = "DestinationRule"

    metadata: Metadata
    host: str
    policy: TrafficPolicy | None = None
    subsets: tuple[Subset, ...] = ()
    export_to: tuple[str, ...] = ("*",)
    selector: Mapping[str, str] | None = None
    """workloadSelector.matchLabels: proxies with these labels, of the rule's own namespace."""


def read_destination_rule(at: Field) -> DestinationRule:
    at.leave("status")
    spec = at["spec"]
    selector = spec["workloadSelector"]
    rule = DestinationRule(
        metadata=read_metadata(at["metadata"]),
        host=spec["host"].host(wildcard=True),
        policy=_read_policy(spec["trafficPolicy"]),
        subsets=tuple(_read_subset(each) for each in spec["subsets"]),
        export_to=read_export_to(spec["exportTo"]),
        selector=None if selector.absent else selector["matchLabels"].labels(),
    )
    names: set[str] = set()
    for subset in spec["subsets"]:
        if subset["name"].text() in names:
            raise subset["name"].bad("is the name of an earlier subset too: give each a name of its own")
        names.add(subset["name"].text())
    return rule


def _read_subset(at: Field) -> Subset:
    return Subset(
        name=at["name"].dns_label(), labels=at["labels"].labels(), policy=_read_policy(at["trafficPolicy"])
    )


def _read_policy(at: Field, *, of_port: bool = False) -> TrafficPolicy | None:
    if at.absent:
        return None
    ports = {} if of_port else {each["port"]["number"].port(): each for each in at["portLevelSettings"]}
    policy = TrafficPolicy(
        load_balancer=read_load_balancer(at["loadBalancer"]),
        connection_pool=_read_pool(at["connectionPool"]),
        outlier=_read_outlier(at["outlierDetection"]),
        tls=_read_tls(at["tls"]),
        ports={number: _read_policy(each, of_port=True) or TrafficPolicy() for number, each in ports.items()},
    )
    if not any(key in at for key in (_OF_A_PORT if of_port else _OF_A_POLICY)):
        raise at.bad("traffic policy must have at least one field")
    return policy


def _read_tls(at: Field) -> ClientTls | None:
    if at.absent:
        return None
    tls = ClientTls(
        mode=at["mode"].choice(TLS_MODES, "DISABLE"),
        client_certificate=at["clientCertificate"].text(""),
        private_key=at["privateKey"].text(""),
        ca_certificates=at["caCertificates"].text(""),
        credential=at["credentialName"].text(""),
        sni=at["sni"].text(""),
        subject_alt_names=at["subjectAltNames"].texts(),
        skip_verify=at["insecureSkipVerify"].flag(False),
    )
    files = tls.client_certificate or tls.private_key or tls.ca_certificates
    if tls.credential and tls.mode in ("SIMPLE", "MUTUAL"):
        if files:
            raise at.bad("cannot specify client certificates or CA certificate if credentialName is set")
        return tls
    if tls.mode == "MUTUAL":
        for key, value in (("clientCertificate", tls.client_certificate), ("privateKey", tls.private_key)):
            if not value:
                raise at[key].bad("client certificate and private key required for mutual tls")
    if tls.mode == "ISTIO_MUTUAL" and files:
        raise at.bad("cannot specify certificates for istio mutual tls: the mesh's own are used")
    return tls


def _read_pool(at: Field) -> ConnectionPool | None:
    if at.absent:
        return None
    tcp, http = at["tcp"], at["http"]
    if tcp.absent and http.absent:
        raise at.bad("connection pool must have at least one field")
    return ConnectionPool(
        max_connections=tcp["maxConnections"].number(0),
        connect_timeout=tcp["connectTimeout"].duration(),
        tcp_idle_timeout=tcp["idleTimeout"].duration(),
        max_duration=tcp["maxConnectionDuration"].duration(),
        keepalive=_read_keepalive(tcp["tcpKeepalive"]),
        pending_requests=http["http1MaxPendingRequests"].number(0),
        requests=http["http2MaxRequests"].number(0),
        requests_per_connection=http["maxRequestsPerConnection"].number(0),
        retries=http["maxRetries"].number(0),
        http_idle_timeout=http["idleTimeout"].duration(),
        concurrent_streams=http["maxConcurrentStreams"].number(0),
        upgrade=http["h2UpgradePolicy"].choice(_UPGRADES, "DEFAULT"),
        client_protocol=http["useClientProtocol"].flag(False),
    )


def _read_keepalive(at: Field) -> Keepalive | None:
    if at.absent:
        return None
    return Keepalive(
        probes=at["probes"].number(0), time=at["time"].duration(), interval=at["interval"].duration()
    )


def _read_outlier(at: Field) -> OutlierDetection | None:
    if at.absent:
        return None

    def count(key: str) -> int | None:
        return None if at[key].absent else at[key].number()

    return OutlierDetection(
        consecutive_5xx=count("consecutive5xxErrors"),
        gateway_errors=count("consecutiveGatewayErrors"),
        interval=at["interval"].duration(),
        base_ejection_time=at["baseEjectionTime"].duration(),
        max_ejection_percent=at["maxEjectionPercent"].number(0, most=100),
        min_health_percent=at["minHealthPercent"].number(0, most=100),
        split_local_errors=at["splitExternalLocalOriginErrors"].flag(False),
        local_origin_failures=count("consecutiveLocalOriginFailures"),
    )
