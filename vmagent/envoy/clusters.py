"""The clusters that Envoy has before anybody tells it anything.

Owns:      the local ones (its own admin, the agent, SDS, xDS) and the shape of remote ones.
Does not:  know what a tracer is (tracing.py) or a collector (sinks.py).
Surprise:  Envoy asks for its configuration only after its static clusters are warm, and a cluster whose name
           does not resolve is warm after c-ares' last try: 75 s were seen with the documents' zipkin address.
           ``wait_for_warm_on_init: false`` takes every remote cluster out of that wait.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from vmagent.envoy import document
from vmagent.envoy.addresses import Endpoint, family, pipe, tcp
from vmagent.envoy.config import EnvoyConfig, Json, Object

XDS, SDS, SDS_FILES = "xds-grpc", "sds-grpc", "sds-files-grpc"
ADMIN, AGENT = "prometheus_stats", "agent"
SELF = "local_cluster"

_UNLIMITED = 100_000
"""Connections and requests: a circuit breaker must never keep Envoy from its control plane."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """A collector that has a name and not an address."""

    name: str
    endpoint: Endpoint
    http2: bool
    transport: Object | None = None
    keepalive: Mapping[str, Json] | None = None
    """ProxyConfig's tcpKeepalive: ``probes``, ``time``, ``interval``."""
    header: tuple[str, str] | None = None
    """A header that every request there gets; the value may have Envoy's ``%COMMANDS%``."""
    refresh: str = ""
    """dns_refresh_rate; empty: Envoy's default."""


def local(config: EnvoyConfig) -> list[Json]:
    home, ports = family(config.ips, dual_stack=config.dual_stack).localhost, config.ports
    made: list[Json] = [
        _static(ADMIN, tcp(home, ports.admin), timeout="0.250s"),
        _static(AGENT, tcp(home, ports.agent), timeout="0.250s"),
        _static(SDS, pipe(config.sds_socket), timeout="1s") | http2_options(),
        _xds(config),
    ]
    if "file-credential" in config.node.metadata:
        made.append(_static(SDS_FILES, pipe(config.credential_socket), timeout="1s") | http2_options())
    if self_discovery(config):
        made.append(_self())
    return made


def self_discovery(config: EnvoyConfig) -> bool:
    return config.node.metadata.get("ENABLE_SELF_DISCOVERY") in (True, "true")


def remote(config: EnvoyConfig, wanted: Remote) -> Object:
    made = _static(wanted.name, tcp(wanted.endpoint.host, wanted.endpoint.port), timeout="1s")
    made |= {
        "type": "STRICT_DNS",
        "respect_dns_ttl": True,
        "dns_lookup_family": family(config.ips, dual_stack=config.dual_stack).dns,
        "wait_for_warm_on_init": False,
    }
    if wanted.refresh:
        made["dns_refresh_rate"] = wanted.refresh
    if wanted.http2:
        made |= http2_options(*_adding(wanted.header))
    if wanted.transport:
        made["transport_socket"] = wanted.transport
    if wanted.keepalive:
        made["upstream_connection_options"] = {"tcp_keepalive": _keepalive(wanted.keepalive)}
    return made


def http2_options(*filters: Json) -> Object:
    kind = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    options: Object = {
        "@type": f"type.googleapis.com/{kind}",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    if filters:
        options["http_filters"] = [*filters]
    return {"typed_extension_protocol_options": {kind: options}}


def _adding(header: tuple[str, str] | None) -> list[Json]:
    """Upstream filters. Metadata of a gRPC service would not do: where no request came before, as with spans,
    Envoy sends the commands in it as they are written."""
    if header is None:
        return []
    kind = "type.googleapis.com/envoy.extensions.filters.http"
    added: Object = {
        "header": {"key": header[0], "value": header[1]},
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
    }
    mutation: Object = {
        "@type": f"{kind}.header_mutation.v3.HeaderMutation",
        "mutations": {"request_mutations": [{"append": added}]},
    }
    codec: Object = {"@type": f"{kind}.upstream_codec.v3.UpstreamCodec"}
    return [
        {"name": "envoy.filters.http.header_mutation", "typed_config": mutation},
        {"name": "envoy.filters.http.upstream_codec", "typed_config": codec},
    ]


def _static(name: str, address: Object, *, timeout: str) -> Object:
    return {
        "name": name,
        "alt_stat_name": f"{name};",
        "type": "STATIC",
        "connect_timeout": timeout,
        "lb_policy": "ROUND_ROBIN",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }


def _xds(config: EnvoyConfig) -> Object:
    def thresholds(priority: str) -> Object:
        limits = ("max_connections", "max_pending_requests", "max_requests")
        return {"priority": priority, **dict.fromkeys(limits, _UNLIMITED)}

    own: Object = {
        "circuit_breakers": {"thresholds": [thresholds("DEFAULT"), thresholds("HIGH")]},
        "upstream_connection_options": {"tcp_keepalive": {"keepalive_time": 300}},
        "max_requests_per_connection": 1,
    }
    return _static(XDS, pipe(config.xds_socket), timeout="1s") | own | http2_options()


def _self() -> Object:
    """This workload's own service, for zone-aware routing."""
    least = "type.googleapis.com/envoy.extensions.load_balancing_policies.least_request.v3.LeastRequest"
    policy: Object = {
        "@type": least,
        "locality_lb_config": {"zone_aware_lb_config": {"min_cluster_size": 1}},
    }
    return {
        "name": SELF,
        "alt_stat_name": f"{SELF};",
        "type": "EDS",
        "connect_timeout": "1s",
        "wait_for_warm_on_init": False,
        "eds_cluster_config": {
            "service_name": SELF,
            "eds_config": {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"},
        },
        "load_balancing_policy": {
            "policies": [
                {
                    "typed_extension_config": {
                        "name": "envoy.load_balancing_policies.least_request",
                        "typed_config": policy,
                    }
                }
            ]
        },
    }


def _keepalive(settings: Mapping[str, Json]) -> Object:
    """Bare numbers, in whole seconds where they are times: Envoy's reader takes nothing else."""
    made: Object = {}
    if probes := document.number(settings, "probes"):
        made["keepalive_probes"] = probes
    for field in ("time", "interval"):
        if given := document.text(settings, field):
            made[f"keepalive_{field}"] = round(document.seconds(given, key=f"tcpKeepalive.{field}"))
    return made
