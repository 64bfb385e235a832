"""The listeners that Envoy has before anybody tells it anything: statistics and health.

Owns:      ports 15090 and 15021, and their secure siblings.
Does not:  know traffic; listeners for that come over xDS.
Surprise:  the health listener routes to the agent, so a 200 there proves both: Envoy takes connections, and
           the agent calls itself ready.
"""

from collections.abc import Sequence

from vmagent.envoy import document, tls
from vmagent.envoy.addresses import Family, family, tcp
from vmagent.envoy.clusters import ADMIN, AGENT
from vmagent.envoy.config import EnvoyConfig, Json, Object

_HTTP = "type.googleapis.com/envoy.extensions.filters.http"
_LISTENER = "type.googleapis.com/envoy.extensions.filters.listener"
_COMPRESSION = "type.googleapis.com/envoy.extensions.compression"
_MANAGER = "envoy.filters.network.http_connection_manager"

_COMPRESSORS = (("brotli", "Brotli"), ("zstd", "Zstd"), ("gzip", "Gzip"))
_COMPRESSED = (
    "text/plain",
    "application/vnd.google.protobuf",
    "application/openmetrics-text",
    "application/openmetrics-protobuf",
)


def static(config: EnvoyConfig) -> list[Json]:
    where, ports = family(config.ips, dual_stack=config.dual_stack), config.ports
    made: list[Json] = []
    if ports.prometheus:
        made.append(_prometheus(config, where))
    secure: Object = {
        "filter_chain_match": {"transport_protocol": "tls"},
        "transport_socket": tls.downstream(),
    }
    inspector: Object = {"listener_filters": [_listener_filter("tls_inspector", "TlsInspector")]}
    if ports.secure_metrics:
        chain = secure | _chain("secure_stats", {"/stats/prometheus": ADMIN}, [])
        made.append(_listener(where.wildcard, ports.secure_metrics, chain) | inspector)
    if ports.secure_merged_metrics:
        chain = secure | _chain("secure_merged_stats", {"/stats/prometheus": AGENT, "/metrics": AGENT}, [])
        made.append(_listener(where.wildcard, ports.secure_merged_metrics, chain) | inspector)
    if ports.health:
        made.append(_health(config, where))
    return made


def _prometheus(config: EnvoyConfig, where: Family) -> Object:
    filters = (
        []
        if config.proxy_config.get("statsCompression") is False
        else [_compressor(*c) for c in _COMPRESSORS]
    )
    chain = _chain("stats", {"/stats/prometheus": ADMIN}, filters)
    metadata = document.section(config.proxy_config, "proxyMetadata")
    private = metadata.get("METRICS_LOCALHOST_ACCESS_ONLY") == "true" or config.metrics_localhost_only
    host = where.localhost if private else where.wildcard
    also = where.also_localhost if private else where.also_wildcard
    return _listener(host, config.ports.prometheus, chain, also=also)


def _health(config: EnvoyConfig, where: Family) -> Object:
    chain = _chain("agent", {"/healthz/ready": AGENT}, [])
    made = _listener(where.wildcard, config.ports.health, chain, also=where.also_wildcard)
    if config.status_proxy_protocol:
        proxy = _listener_filter(
            "proxy_protocol", "ProxyProtocol", allow_requests_without_proxy_protocol=True
        )
        made["listener_filters"] = [proxy]
    return made


def _listener(host: str, port: int, chain: Object, *, also: str = "") -> Object:
    made: Object = {
        "name": f"{host}_{port}",
        "address": tcp(host, port),
        "ignore_global_conn_limit": True,
        "bypass_overload_manager": True,
        "filter_chains": [chain],
    }
    if also:
        made["additional_addresses"] = [{"address": tcp(also, port)}]
    return made


def _chain(stat_prefix: str, routes: dict[str, str], filters: Sequence[Json]) -> Object:
    found: list[Json] = [
        {"match": {"prefix": prefix}, "route": {"cluster": cluster}} for prefix, cluster in routes.items()
    ]
    router: Object = {
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": f"{_HTTP}.router.v3.Router"},
    }
    manager: Object = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network"
        ".http_connection_manager.v3.HttpConnectionManager",
        "codec_type": "AUTO",
        "stat_prefix": stat_prefix,
        "route_config": {"virtual_hosts": [{"name": "backend", "domains": ["*"], "routes": found}]},
        "http_filters": [*filters, router],
    }
    return {"filters": [{"name": _MANAGER, "typed_config": manager}]}


def _compressor(name: str, kind: str) -> Object:
    library: Object = {
        "name": f"stats_{name}",
        "typed_config": {"@type": f"{_COMPRESSION}.{name}.compressor.v3.{kind}"},
    }
    return {
        "name": f"envoy.filters.http.compressor.{name}",
        "typed_config": {
            "@type": f"{_HTTP}.compressor.v3.Compressor",
            "compressor_library": library,
            "response_direction_config": {"common_config": {"content_type": list(_COMPRESSED)}},
        },
    }


def _listener_filter(name: str, kind: str, **options: Json) -> Object:
    typed: Object = {"@type": f"{_LISTENER}.{name}.v3.{kind}", **options}
    return {"name": f"envoy.filters.listener.{name}", "typed_config": typed}
