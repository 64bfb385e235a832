"""Where extensions sit in Envoy's configuration: for each message the fields that hold some, or lead there.

The messages are those of ``_pb/wire.proto``, cut down to these fields; a test compares them with Envoy's own.
What is in no such place (matching inputs, retry predicates, resolvers, balancers, tracers) comes from Envoy
itself in every configuration of istiod; it is not looked at, and Envoy judges it.
"""

from collections.abc import Mapping
from typing import Final, TypeAlias

from google.protobuf.message import Message

from vmagent._pb import wire_pb2 as wire
from vmagent.xds import types

Kind: TypeAlias = type[Message]

RESOURCES: Final[Mapping[str, Kind]] = {
    types.CLUSTER: wire.Cluster,
    types.LISTENER: wire.Listener,
    types.ROUTE: wire.RouteConfiguration,
    types.SCOPED_ROUTE: wire.ScopedRouteConfiguration,
    types.VIRTUAL_HOST: wire.VirtualHost,
    types.EXTENSION: wire.TypedExtensionConfig,
}
"""The resource types that can hold an extension. No other is ever decoded here."""

HOLDERS: Final = frozenset(
    {
        wire.Filter,
        wire.ListenerFilter,
        wire.ClusterFilter,
        wire.AccessLog,
        wire.TypedExtensionConfig,
        wire.DynamicConfig,
        wire.PerFilterEntry,
    }
)
"""One extension with its name and configuration: what is judged."""

DISCOVERED: Final = frozenset({wire.Filter, wire.ListenerFilter, wire.ClusterFilter, wire.DynamicConfig})
"""Those of them whose configuration may come by ECDS."""

PARTS: Final[Mapping[Kind, Mapping[str, Kind]]] = {
    wire.Cluster: {"filters": wire.ClusterFilter},
    wire.HttpProtocolOptions: {"http_filters": wire.Filter},
    wire.Listener: {
        "filter_chains": wire.FilterChain,
        "default_filter_chain": wire.FilterChain,
        "listener_filters": wire.ListenerFilter,
        "access_log": wire.AccessLog,
        "api_listener": wire.ApiListener,
    },
    wire.ApiListener: {"api_listener": wire.Any},
    wire.FilterChain: {"filters": wire.Filter, "transport_socket": wire.TransportSocket},
    wire.HttpConnectionManager: {
        "http_filters": wire.Filter,
        "upgrade_configs": wire.HttpConnectionManager.UpgradeConfig,
        "access_log": wire.AccessLog,
        "route_config": wire.RouteConfiguration,
        "scoped_routes": wire.ScopedRoutes,
    },
    wire.HttpConnectionManager.UpgradeConfig: {"filters": wire.Filter},
    wire.ScopedRoutes: {"scoped_route_configurations_list": wire.ScopedRouteConfigurationsList},
    wire.ScopedRouteConfigurationsList: {"scoped_route_configurations": wire.ScopedRouteConfiguration},
    wire.TcpProxy: {"access_log": wire.AccessLog},
    wire.Router: {"upstream_log": wire.AccessLog, "upstream_http_filters": wire.Filter},
    wire.ScopedRouteConfiguration: {"route_configuration": wire.RouteConfiguration},
    wire.RouteConfiguration: {
        "virtual_hosts": wire.VirtualHost,
        "typed_per_filter_config": wire.PerFilterEntry,
    },
    wire.VirtualHost: {
        "routes": wire.Route,
        "matcher": wire.Matcher,
        "typed_per_filter_config": wire.PerFilterEntry,
    },
    wire.RouteList: {"routes": wire.Route},
    wire.Route: {"route": wire.RouteAction, "typed_per_filter_config": wire.PerFilterEntry},
    wire.RouteAction: {"weighted_clusters": wire.WeightedCluster},
    wire.WeightedCluster: {"clusters": wire.WeightedCluster.ClusterWeight},
    wire.WeightedCluster.ClusterWeight: {"typed_per_filter_config": wire.PerFilterEntry},
    wire.Matcher: {
        "matcher_list": wire.Matcher.MatcherList,
        "matcher_tree": wire.Matcher.MatcherTree,
        "on_no_match": wire.Matcher.OnMatch,
    },
    wire.Matcher.MatcherList: {"matchers": wire.Matcher.MatcherList.FieldMatcher},
    wire.Matcher.MatcherList.FieldMatcher: {"on_match": wire.Matcher.OnMatch},
    wire.Matcher.MatcherTree: {
        "exact_match_map": wire.Matcher.MatcherTree.MatchMap,
        "prefix_match_map": wire.Matcher.MatcherTree.MatchMap,
    },
    wire.Matcher.MatcherTree.MatchMap: {"map": wire.Matcher.MatcherTree.MatchMap.MapEntry},
    wire.Matcher.MatcherTree.MatchMap.MapEntry: {"value": wire.Matcher.OnMatch},
    wire.Matcher.OnMatch: {"matcher": wire.Matcher, "action": wire.Matcher.Action},
    wire.ExtensionWithMatcher: {
        "matcher": wire.Matcher,
        "xds_matcher": wire.Matcher,
        "extension_config": wire.TypedExtensionConfig,
    },
    wire.ExtensionWithMatcherPerRoute: {"xds_matcher": wire.Matcher},
    wire.ExecuteFilterAction: {
        "typed_config": wire.TypedExtensionConfig,
        "dynamic_config": wire.DynamicConfig,
        "filter_chain": wire.FilterChainConfiguration,
    },
    wire.FilterChainConfiguration: {"typed_config": wire.TypedExtensionConfig},
}

_EXTENSIONS: Final = "envoy.extensions."
CONFIGURATIONS: Final[Mapping[str, Kind]] = {
    _EXTENSIONS
    + "filters.network.http_connection_manager.v3.HttpConnectionManager": wire.HttpConnectionManager,
    _EXTENSIONS + "filters.network.tcp_proxy.v3.TcpProxy": wire.TcpProxy,
    _EXTENSIONS + "filters.http.router.v3.Router": wire.Router,
    _EXTENSIONS + "filters.http.composite.v3.ExecuteFilterAction": wire.ExecuteFilterAction,
    _EXTENSIONS + "common.matching.v3.ExtensionWithMatcher": wire.ExtensionWithMatcher,
    _EXTENSIONS + "common.matching.v3.ExtensionWithMatcherPerRoute": wire.ExtensionWithMatcherPerRoute,
    _EXTENSIONS + "upstreams.http.v3.HttpProtocolOptions": wire.HttpProtocolOptions,
    "envoy.config.route.v3.RouteList": wire.RouteList,
    "envoy.config.route.v3.Route": wire.Route,
}
"""Configurations of extensions that hold others, by the full name of their type."""

FILTERS_OF: Final[Mapping[Kind, tuple[str, ...]]] = {
    wire.ExtensionWithMatcher: ("extension_config",),
    wire.ExecuteFilterAction: ("typed_config", "dynamic_config", "filter_chain"),
    wire.FilterChainConfiguration: ("typed_config",),
}
"""What is nothing without the extensions in these fields, and goes with the last of them."""
