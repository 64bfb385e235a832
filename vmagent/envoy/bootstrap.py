"""What Envoy knows when it starts, as data.

Owns:      ``bootstrap(config)``: pure, the same input gives the same document. The reference is the file that
           Istio 1.29.6 writes; ``tests/unit/envoy/test_recorded_bootstrap.py`` lists each difference with its
           reason.
Does not:  write the file or start Envoy (supervisor.py).
"""

import json
from collections.abc import Iterable

from vmagent.envoy import clusters, document, listeners, sinks, stats
from vmagent.envoy.addresses import family
from vmagent.envoy.config import EnvoyConfig, Json, Object
from vmagent.envoy.tracing import tracer
from vmagent.errors import Misconfigured

EPOCH = "VMAGENT_EPOCH"
"""In the metadata of Envoy's node, which it tells the agent first on each stream: which of two Envoys it is
while one takes over from the other. The agent tells the control plane of a node of its own, without it.
"""

_TYPE = "type.googleapis.com/"
_TEXT_LOG = "%Y-%m-%dT%T.%fZ\t%l\tenvoy %n %g:%#\t%v\tthread=%t"
_JSON_LOG: Object = {
    "time": "%Y-%m-%dT%T.%fZ",
    "level": "%l",
    "scope": "envoy %n",
    "msg": "%j",
    "caller": "%g:%#",
    "thread": "%t",
}

_NO_LIMIT = 2147483647
"""Downstream connections, unless the operator sets fewer."""

_INTERNAL_BUFFER_KB = 64

_DEPRECATED = "envoy.deprecated_features:"
_RUNTIME: Object = {
    f"{_DEPRECATED}envoy.config.listener.v3.Listener.hidden_envoy_deprecated_use_original_dst": True,
    "envoy.reloadable_features.fixed_heap_use_allocated": True,
    "envoy.reloadable_features.http_reject_path_with_fragment": False,
    "re2.max_program_size.error_level": "32768",
}


def bootstrap(config: EnvoyConfig, *, epoch: int = 0) -> Object:
    """Raises Misconfigured, naming the key, for what cannot be expressed and must not be dropped silently.
    ``epoch``: as ``--restart-epoch``.
    """
    if document.text(config.proxy_config, "proxyBootstrapTemplatePath"):
        raise Misconfigured(
            "mesh file: defaultConfig.proxyBootstrapTemplatePath: templates are not supported",
            hint="put additions into the file that ISTIO_BOOTSTRAP_OVERRIDE names, or use customConfigFile",
        )
    made: Object = {
        "application_log_config": {
            "log_format": {"json_format": _JSON_LOG} if config.log_as_json else {"text_format": _TEXT_LOG}
        },
        "node": _node(config, epoch),
        "layered_runtime": _runtime(config),
        "bootstrap_extensions": [_internal_listener()],
        "stats_config": stats.stats_config(config),
        **stats.flush(config),
        "admin": _admin(config),
        "dynamic_resources": _dynamic(config),
        "static_resources": _static(config),
        "overload_manager": _overload(config),
        "deferred_stat_options": {"enable_deferred_creation_stats": True},
    }
    if chosen := tracer(config):
        made["tracing"] = {"http": chosen.provider}
    if wanted := sinks.stats_sinks(config):
        made["stats_sinks"] = wanted
    if management := _cluster_manager(config):
        made["cluster_manager"] = management
    return made


def left_out(config: EnvoyConfig) -> Iterable[str]:
    """What the operator asked for and this Envoy will not do: one sentence each, for the log."""
    tracing = document.section(config.proxy_config, "tracing")
    for name in ("stackdriver", "openCensusAgent"):
        if document.has(tracing, name):
            yield f"tracing.{name}: Envoy has no such tracer any more; no spans are sent"
    endpoint = sinks.statsd(config)
    if endpoint is not None and not endpoint.is_literal:
        yield f"statsdUdpAddress: {endpoint.host} is a name and Envoy needs an IP address; no statsd"
    if config.metadata_discovery:
        yield "PEER_METADATA_DISCOVERY: only Istio's own build of Envoy has this extension"


def _node(config: EnvoyConfig, epoch: int) -> Object:
    node = config.node
    locality: Object = {key: value for key, value in node.locality.items() if value}
    metadata: Object = dict(sorted(node.metadata.items()))
    metadata.update(_without_token(metadata))
    metadata[EPOCH] = str(epoch)
    return {"id": node.id, "cluster": node.cluster, "locality": locality, "metadata": metadata}


def _without_token(metadata: Object) -> Object:
    """PROXY_CONFIG repeats the whole ProxyConfig; lightstep's access token must not show in /config_dump."""
    proxy = document.section(metadata, "PROXY_CONFIG")
    if not document.has(proxy, "tracing", "lightstep", "accessToken"):
        return {}
    tracing = dict(document.section(proxy, "tracing"))
    lightstep = dict(document.section(tracing, "lightstep"))
    del lightstep["accessToken"]
    return {"PROXY_CONFIG": {**proxy, "tracing": {**tracing, "lightstep": lightstep}}}


def _runtime(config: EnvoyConfig) -> Object:
    flags = dict(_RUNTIME)
    if config.fips:
        flags["envoy.reloadable_features.google_grpc_disable_tls_13"] = True
    for key in document.section(config.proxy_config, "runtimeValues"):
        value = document.text(document.section(config.proxy_config, "runtimeValues"), key)
        if value:
            flags[key] = {"true": True, "false": False}.get(value, value)
        else:
            flags.pop(key, None)
    return {
        "layers": [
            {"name": "global config", "static_layer": flags},
            {"name": "admin", "admin_layer": {}},
        ]
    }


def _internal_listener() -> Object:
    return {
        "name": "envoy.bootstrap.internal_listener",
        "typed_config": {
            "@type": f"{_TYPE}udpa.type.v1.TypedStruct",
            "type_url": f"{_TYPE}envoy.extensions.bootstrap.internal_listener.v3.InternalListener",
            "value": {"buffer_size_kb": _INTERNAL_BUFFER_KB},
        },
    }


def _admin(config: EnvoyConfig) -> Object:
    home = family(config.ips, dual_stack=config.dual_stack).localhost
    log: Object = {
        "@type": f"{_TYPE}envoy.extensions.access_loggers.file.v3.FileAccessLog",
        "path": "/dev/null",
    }
    return {
        "access_log": [{"name": "envoy.access_loggers.file", "typed_config": log}],
        "profile_path": str(config.data_dir / "envoy.prof"),
        "address": {"socket_address": {"address": home, "port_value": config.ports.admin}},
    }


def _dynamic(config: EnvoyConfig) -> Object:
    """LDS and CDS over one ADS stream; 0s: wait for them as long as it takes, never start empty."""
    source: Object = {"ads": {}, "initial_fetch_timeout": "0s", "resource_api_version": "V3"}
    return {
        "lds_config": source,
        "cds_config": source,
        "ads_config": {
            "api_type": "DELTA_GRPC" if config.delta_xds else "GRPC",
            "set_node_on_first_message_only": True,
            "transport_api_version": "V3",
            "grpc_services": [{"envoy_grpc": {"cluster_name": clusters.XDS}}],
        },
    }


def _static(config: EnvoyConfig) -> Object:
    chosen = tracer(config)
    remotes = [*([chosen.cluster] if chosen else []), *sinks.remotes(config)]
    return {
        "clusters": [*clusters.local(config), *(clusters.remote(config, each) for each in remotes)],
        "listeners": listeners.static(config),
    }


def _overload(config: EnvoyConfig) -> Object:
    monitor: Object = {
        "@type": f"{_TYPE}envoy.extensions.resource_monitors.downstream_connections.v3"
        ".DownstreamConnectionsConfig",
        "max_active_downstream_connections": _connection_limit(config),
    }
    name = "envoy.resource_monitors.global_downstream_max_connections"
    return {"resource_monitors": [{"name": name, "typed_config": monitor}]}


def _connection_limit(config: EnvoyConfig) -> int:
    proxy = config.proxy_config
    settings, metadata = (
        document.section(proxy, "connectionSettings"),
        document.section(proxy, "proxyMetadata"),
    )
    runtime = document.section(proxy, "runtimeValues")
    return (
        document.number(settings, "globalDownstreamConnectionLimit")
        or document.number(metadata, "ISTIO_META_GLOBAL_DOWNSTREAM_MAX_CONNECTIONS")
        or document.number(runtime, "overload.global_downstream_max_connections")
        or _NO_LIMIT
    )


def _cluster_manager(config: EnvoyConfig) -> Object:
    made: Object = {}
    if clusters.self_discovery(config):
        made["local_cluster_name"] = clusters.SELF
    if config.outlier_log:
        made["outlier_detection"] = {"event_log_path": str(config.outlier_log)}
    if given := document.text(config.node.metadata, "LOAD_STATS_CONFIG_JSON"):
        made["load_stats_config"] = _json(given, "ISTIO_META_LOAD_STATS_CONFIG_JSON")
    if made:
        made["enable_deferred_cluster_creation"] = True
    return made


def _json(text: str, key: str) -> Json:
    try:
        found: Json = json.loads(text)
    except json.JSONDecodeError as why:
        raise Misconfigured(
            f"cluster.env: {key}: not JSON: {why}", hint="write a JSON object in quotes"
        ) from why
    return found
