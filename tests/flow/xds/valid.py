"""A configuration that Envoy accepts, with extensions in every place that can hold one."""

from collections.abc import Sequence
from zlib import crc32

from envoy.config.accesslog.v3.accesslog_pb2 import AccessLog
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.cluster.v3.filter_pb2 import Filter as ClusterFilter
from envoy.config.core.v3.config_source_pb2 import AggregatedConfigSource, ConfigSource, ExtensionConfigSource
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain, ListenerFilter
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_components_pb2 import FilterConfig, Route, VirtualHost
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.access_loggers.stream.v3.stream_pb2 import StdoutAccessLog
from envoy.extensions.common.matching.v3.extension_matcher_pb2 import ExtensionWithMatcher
from envoy.extensions.filters.http.composite.v3.composite_pb2 import Composite, ExecuteFilterAction
from envoy.extensions.filters.http.cors.v3.cors_pb2 import Cors, CorsPolicy
from envoy.extensions.filters.http.router.v3.router_pb2 import Router
from envoy.extensions.filters.http.upstream_codec.v3.upstream_codec_pb2 import UpstreamCodec
from envoy.extensions.filters.listener.tls_inspector.v3.tls_inspector_pb2 import TlsInspector
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
    HttpFilter,
    Rds,
)
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy
from envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions
from envoy.type.matcher.v3.http_inputs_pb2 import HttpRequestHeaderMatchInput
from xds.type.matcher.v3.matcher_pb2 import Matcher

from lab.controlplane import type_urls
from lab.controlplane.snapshot.packing import pack
from tests.flow.xds.plane import Resources, named
from tests.unit.xds.compatibility.built import Extensions, inner_type

ADS = ConfigSource(ads=AggregatedConfigSource(), resource_api_version="V3")
CORS = "envoy.filters.http.cors"
ROUTES = "80"


def everything(extensions: Extensions) -> Resources:
    """Extensions are what the agent has to take out; what else is in a place, a stock Envoy has."""
    return {
        type_urls.CLUSTER: named(pack(cluster(extensions))),
        type_urls.LISTENER: named(pack(web(extensions)), pack(bytes_only(extensions))),
        type_urls.ROUTE: named(pack(routes(extensions))),
    }


def cluster(extensions: Extensions = {}) -> Cluster:  # noqa: B006  # read only
    codec = HttpFilter(name="envoy.filters.http.upstream_codec", typed_config=pack(UpstreamCodec()))
    options = HttpProtocolOptions(http_filters=[*_http(extensions), codec])
    options.explicit_http_config.http_protocol_options.SetInParent()
    name = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
    return Cluster(
        name="backend",
        type=Cluster.STATIC,
        connect_timeout={"seconds": 1},
        filters=[ClusterFilter(name=name, typed_config=config) for name, config in extensions.items()],
        typed_extension_protocol_options={name: pack(options)},
    )


def web(extensions: Extensions, *more: HttpFilter, name: str = "web", prefix: str = "web") -> Listener:
    """Its routes come by themselves."""
    router = Router(upstream_log=_logs(extensions), upstream_http_filters=_upstream(extensions))
    filters = [
        *_http(extensions),
        HttpFilter(name=CORS, typed_config=pack(Cors())),
        _composite(extensions),
        *more,
        *_discovered(extensions),
        HttpFilter(name="envoy.filters.http.router", typed_config=pack(router)),
    ]
    manager = HttpConnectionManager(
        stat_prefix=prefix,
        rds=Rds(route_config_name=ROUTES, config_source=ADS),
        http_filters=filters,
        access_log=_logs(extensions),
        upgrade_configs=[HttpConnectionManager.UpgradeConfig(upgrade_type="websocket", filters=filters)],
    )
    last = Filter(name="envoy.filters.network.http_connection_manager", typed_config=pack(manager))
    return listener(name, extensions, last)


def bytes_only(extensions: Extensions) -> Listener:
    proxy = TcpProxy(stat_prefix="bytes", cluster="backend", access_log=_logs(extensions))
    last = Filter(name="envoy.filters.network.tcp_proxy", typed_config=pack(proxy))
    return listener("bytes", extensions, last)


def listener(name: str, extensions: Extensions, last: Filter) -> Listener:
    """On no socket; the port is there because no two may have the same address."""
    filters = [Filter(name=each, typed_config=config) for each, config in extensions.items()]
    inspector = ListenerFilter(name="envoy.filters.listener.tls_inspector", typed_config=pack(TlsInspector()))
    return Listener(
        name=name,
        address={"socket_address": {"address": "127.0.0.1", "port_value": crc32(name.encode()) % 60_000 + 1}},
        bind_to_port={"value": False},
        filter_chains=[
            FilterChain(
                name="tls", filter_chain_match={"transport_protocol": "tls"}, filters=[*filters, last]
            )
        ],
        default_filter_chain=FilterChain(name="default", filters=[*filters, last]),
        listener_filters=[
            *(ListenerFilter(name=each, typed_config=config) for each, config in extensions.items()),
            inspector,
        ],
        access_log=_logs(extensions),
    )


def routes(extensions: Extensions) -> RouteConfiguration:
    policy = {CORS: pack(CorsPolicy()), **extensions}
    wrapped = {name: pack(FilterConfig(config=config)) for name, config in policy.items()}
    weighted = {"name": "backend", "weight": {"value": 1}, "typed_per_filter_config": policy}
    return RouteConfiguration(
        name=ROUTES,
        typed_per_filter_config=policy,
        virtual_hosts=[
            VirtualHost(
                name="host",
                domains=["*"],
                typed_per_filter_config=wrapped,
                routes=[
                    Route(
                        match={"prefix": "/"},
                        route={"weighted_clusters": {"clusters": [weighted]}},
                        typed_per_filter_config=policy,
                    )
                ],
            )
        ],
    )


def later(name: str, types: Sequence[str]) -> HttpFilter:
    """Its configuration comes by ECDS."""
    source = ExtensionConfigSource(config_source=ADS, type_urls=types)
    return HttpFilter(name=name, config_discovery=source)


def _http(extensions: Extensions) -> list[HttpFilter]:
    return [HttpFilter(name=name, typed_config=config) for name, config in extensions.items()]


def _upstream(extensions: Extensions) -> list[HttpFilter]:
    """Envoy wants the codec at the end of them, or none at all."""
    codec = HttpFilter(name="envoy.filters.http.upstream_codec", typed_config=pack(UpstreamCodec()))
    return [*_http(extensions), codec]


def _discovered(extensions: Extensions) -> list[HttpFilter]:
    return [later(f"later {name}", [inner_type(config)]) for name, config in extensions.items()]


def _logs(extensions: Extensions) -> list[AccessLog]:
    stdout = AccessLog(name="envoy.access_loggers.stdout", typed_config=pack(StdoutAccessLog()))
    return [*(AccessLog(name=name, typed_config=config) for name, config in extensions.items()), stdout]


def _composite(extensions: Extensions) -> HttpFilter:
    """Which filter runs is said by a header."""
    choices = {**extensions, CORS: pack(Cors())}
    matcher = Matcher()
    matcher.matcher_tree.input.name = "header"
    matcher.matcher_tree.input.typed_config.CopyFrom(
        pack(HttpRequestHeaderMatchInput(header_name="x-filter"))
    )
    for name, config in choices.items():
        run = ExecuteFilterAction(typed_config=TypedExtensionConfig(name=name, typed_config=config))
        action = matcher.matcher_tree.exact_match_map.map[name].action
        action.name = "run"
        action.typed_config.CopyFrom(pack(run))
    wrapped = ExtensionWithMatcher(
        xds_matcher=matcher,
        extension_config=TypedExtensionConfig(name="composite", typed_config=pack(Composite())),
    )
    return HttpFilter(name="envoy.filters.http.match_delegate", typed_config=pack(wrapped))
