"""Resources with an extension in each place that can hold one, built with Envoy's own messages.

Every builder takes the extensions to put there, as name and configuration, and is built anew without those
that are to go: what the agent makes of the one must be the other.
"""

from collections.abc import Callable, Mapping
from typing import TypeAlias

from envoy.config.accesslog.v3.accesslog_pb2 import AccessLog
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.cluster.v3.filter_pb2 import Filter as ClusterFilter
from envoy.config.core.v3.config_source_pb2 import ExtensionConfigSource
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.config.listener.v3.api_listener_pb2 import ApiListener
from envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain, ListenerFilter
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_components_pb2 import FilterConfig, Route, VirtualHost, WeightedCluster
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.config.route.v3.scoped_route_pb2 import ScopedRouteConfiguration
from envoy.extensions.common.matching.v3.extension_matcher_pb2 import ExtensionWithMatcher
from envoy.extensions.filters.common.matcher.action.v3.skip_action_pb2 import SkipFilter
from envoy.extensions.filters.http.composite.v3.composite_pb2 import Composite, ExecuteFilterAction
from envoy.extensions.filters.http.router.v3.router_pb2 import Router
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
    HttpFilter,
)
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy
from envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions
from google.protobuf import any_pb2
from google.protobuf.message import Message
from udpa.type.v1.typed_struct_pb2 import TypedStruct
from xds.core.v3 import extension_pb2 as xds_extension_pb2
from xds.type.matcher.v3.matcher_pb2 import Matcher

from lab.controlplane.snapshot.packing import pack, struct

PREFIX = "type.googleapis.com/"
Extensions: TypeAlias = Mapping[str, any_pb2.Any]
"""Name to configuration, in order."""
Builder: TypeAlias = Callable[[Extensions], Message]

_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_MANAGER = "envoy.filters.network.http_connection_manager"


def typed(name: str, value: bytes = b"") -> any_pb2.Any:
    """A configuration of a type of which there are no stubs here."""
    return any_pb2.Any(type_url=PREFIX + name, value=value)


def as_struct(name: str, package: str = "udpa.type.v1") -> any_pb2.Any:
    """The same as JSON, as istiod packs what it has no stubs of."""
    wrapped = TypedStruct(type_url=PREFIX + name, value=struct({"some": "thing"}))
    return any_pb2.Any(type_url=f"{PREFIX}{package}.TypedStruct", value=wrapped.SerializeToString())


def http(extensions: Extensions) -> list[HttpFilter]:
    filters = [HttpFilter(name=name, typed_config=config) for name, config in extensions.items()]
    return [*filters, HttpFilter(name="envoy.filters.http.router", typed_config=pack(Router()))]


def listener(*filters: Filter) -> Listener:
    return Listener(name="it", filter_chains=[FilterChain(name="chain", filters=filters)])


def managed(manager: HttpConnectionManager) -> Listener:
    return listener(Filter(name=_MANAGER, typed_config=pack(manager)))


def access_logs(extensions: Extensions) -> list[AccessLog]:
    return [AccessLog(name=name, typed_config=config) for name, config in extensions.items()]


def network_filters(extensions: Extensions) -> Listener:
    return listener(*(Filter(name=name, typed_config=config) for name, config in extensions.items()))


def default_chain(extensions: Extensions) -> Listener:
    filters = [Filter(name=name, typed_config=config) for name, config in extensions.items()]
    return Listener(name="it", default_filter_chain=FilterChain(filters=filters))


def internal_listener(extensions: Extensions) -> Listener:
    made = network_filters(extensions)
    made.internal_listener.SetInParent()
    return made


def listener_filters(extensions: Extensions) -> Listener:
    filters = [ListenerFilter(name=name, typed_config=config) for name, config in extensions.items()]
    return Listener(name="it", listener_filters=filters)


def listener_access_log(extensions: Extensions) -> Listener:
    return Listener(name="it", access_log=access_logs(extensions))


def api_listener(extensions: Extensions) -> Listener:
    manager = HttpConnectionManager(http_filters=http(extensions))
    return Listener(name="it", api_listener=ApiListener(api_listener=pack(manager)))


def http_filters(extensions: Extensions) -> Listener:
    return managed(HttpConnectionManager(http_filters=http(extensions)))


def upgrade_filters(extensions: Extensions) -> Listener:
    upgrade = HttpConnectionManager.UpgradeConfig(upgrade_type="websocket", filters=http(extensions))
    return managed(HttpConnectionManager(upgrade_configs=[upgrade]))


def http_access_log(extensions: Extensions) -> Listener:
    return managed(HttpConnectionManager(access_log=access_logs(extensions)))


def tcp_access_log(extensions: Extensions) -> Listener:
    proxy = TcpProxy(stat_prefix="it", cluster="it", access_log=access_logs(extensions))
    return listener(Filter(name="envoy.filters.network.tcp_proxy", typed_config=pack(proxy)))


def router_upstream_log(extensions: Extensions) -> Listener:
    return _routed(Router(upstream_log=access_logs(extensions)))


def router_upstream_filters(extensions: Extensions) -> Listener:
    return _routed(Router(upstream_http_filters=http(extensions)))


def _routed(router: Router) -> Listener:
    last = HttpFilter(name="envoy.filters.http.router", typed_config=pack(router))
    return managed(HttpConnectionManager(http_filters=[last]))


def inline_routes(extensions: Extensions) -> Listener:
    return managed(HttpConnectionManager(route_config=all_routes(extensions)))


def scoped_routes(extensions: Extensions) -> ScopedRouteConfiguration:
    return ScopedRouteConfiguration(name="it", route_configuration=all_routes(extensions))


def all_routes(extensions: Extensions) -> RouteConfiguration:
    return RouteConfiguration(name="it", typed_per_filter_config=extensions)


def virtual_host(extensions: Extensions) -> RouteConfiguration:
    host = VirtualHost(name="host", domains=["*"], typed_per_filter_config=extensions)
    return RouteConfiguration(name="it", virtual_hosts=[host])


def virtual_host_alone(extensions: Extensions) -> VirtualHost:
    return VirtualHost(name="it", typed_per_filter_config=extensions)


def route(extensions: Extensions) -> RouteConfiguration:
    return _with(Route(name="route", typed_per_filter_config=extensions))


def weighted_cluster(extensions: Extensions) -> RouteConfiguration:
    chosen = WeightedCluster.ClusterWeight(name="one", typed_per_filter_config=extensions)
    return _with(Route(name="route", route={"weighted_clusters": {"clusters": [chosen]}}))


def wrapped_per_route(extensions: Extensions) -> RouteConfiguration:
    return route({name: pack(FilterConfig(config=config)) for name, config in extensions.items()})


def route_by_matcher(extensions: Extensions) -> RouteConfiguration:
    chosen = xds_extension_pb2.TypedExtensionConfig(
        name="route", typed_config=pack(Route(typed_per_filter_config=extensions))
    )
    matcher = Matcher(on_no_match=Matcher.OnMatch(action=chosen))
    return RouteConfiguration(name="it", virtual_hosts=[VirtualHost(name="host", matcher=matcher)])


def _with(made: Route) -> RouteConfiguration:
    return RouteConfiguration(name="it", virtual_hosts=[VirtualHost(name="host", routes=[made])])


def cluster_filters(extensions: Extensions) -> Cluster:
    filters = [ClusterFilter(name=name, typed_config=config) for name, config in extensions.items()]
    return Cluster(name="it", filters=filters)


def upstream_http_filters(extensions: Extensions) -> Cluster:
    options = HttpProtocolOptions(http_filters=http(extensions))
    return Cluster(name="it", typed_extension_protocol_options={_OPTIONS: pack(options)})


def extension_config_default(extensions: Extensions) -> Listener:
    """Of an extension that may be any filter of that name, the default is one of these."""
    filters = [
        HttpFilter(
            name=name,
            config_discovery=ExtensionConfigSource(type_urls=[inner_type(config)], default_config=config),
        )
        for name, config in extensions.items()
    ]
    return managed(HttpConnectionManager(http_filters=filters))


def behind_a_matcher(extensions: Extensions) -> Listener:
    """Each filter is under a condition of its own."""
    return managed(
        HttpConnectionManager(
            http_filters=[
                HttpFilter(
                    name=name, typed_config=pack(ExtensionWithMatcher(extension_config=_config(name, config)))
                )
                for name, config in extensions.items()
            ]
        )
    )


def composite(extensions: Extensions, skipped: tuple[str, ...] = ()) -> Listener:
    """One of the filters runs, by a header; where one is ``skipped``, none does."""
    values = {
        **{
            name: pack(ExecuteFilterAction(typed_config=_config(name, config)))
            for name, config in extensions.items()
        },
        **{name: pack(SkipFilter()) for name in skipped},
    }
    matcher = Matcher()
    for name, action in values.items():
        chosen = matcher.matcher_tree.exact_match_map.map[name]
        chosen.action.name = "act"
        chosen.action.typed_config.CopyFrom(action)
    wrapped = ExtensionWithMatcher(
        xds_matcher=matcher,
        extension_config=TypedExtensionConfig(name="composite", typed_config=pack(Composite())),
    )
    return managed(
        HttpConnectionManager(http_filters=[HttpFilter(name="composite", typed_config=pack(wrapped))])
    )


def _config(name: str, config: any_pb2.Any) -> TypedExtensionConfig:
    return TypedExtensionConfig(name=name, typed_config=config)


def inner_type(config: any_pb2.Any) -> str:
    return (
        TypedStruct.FromString(config.value).type_url if "TypedStruct" in config.type_url else config.type_url
    )


PLACES: tuple[Builder, ...] = (
    network_filters,
    default_chain,
    internal_listener,
    listener_filters,
    listener_access_log,
    api_listener,
    http_filters,
    upgrade_filters,
    http_access_log,
    tcp_access_log,
    router_upstream_log,
    router_upstream_filters,
    inline_routes,
    scoped_routes,
    all_routes,
    virtual_host,
    virtual_host_alone,
    route,
    weighted_cluster,
    wrapped_per_route,
    route_by_matcher,
    cluster_filters,
    upstream_http_filters,
    extension_config_default,
    behind_a_matcher,
)
"""``composite`` is apart: what is taken out there leaves something behind."""
