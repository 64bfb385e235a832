"""The few messages the agent reads of Envoy's configuration agree with Envoy's own, field by field."""

from collections.abc import Iterator
from typing import Any, TypeAlias

import pytest
from envoy.config.common.matcher.v3 import matcher_pb2  # noqa: F401
from envoy.extensions.transport_sockets.http_11_proxy.v3 import upstream_http_11_connect_pb2  # noqa: F401
from envoy.extensions.transport_sockets.internal_upstream.v3 import internal_upstream_pb2  # noqa: F401
from envoy.extensions.transport_sockets.proxy_protocol.v3 import upstream_proxy_protocol_pb2  # noqa: F401
from envoy.extensions.transport_sockets.starttls.v3 import starttls_pb2  # noqa: F401
from envoy.extensions.transport_sockets.tap.v3 import tap_pb2  # noqa: F401
from envoy.extensions.transport_sockets.tcp_stats.v3 import tcp_stats_pb2  # noqa: F401
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2  # noqa: F401
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.descriptor_pool import Default
from xds.type.v3 import typed_struct_pb2  # noqa: F401

from tests.unit.xds.compatibility import built  # noqa: F401  # loads the rest of Envoy's messages
from vmagent._pb import wire_pb2 as wire
from vmagent.xds.compatibility import places
from vmagent.xds.compatibility.alpn import AROUND

Descriptor: TypeAlias = Any
"""Of a message. The implementation has classes of its own, which the stubs do not know."""

_CONFIG = "envoy.config."
_EXTENSIONS = "envoy.extensions."
_MANAGER = _EXTENSIONS + "filters.network.http_connection_manager.v3."
_SOCKETS = _EXTENSIONS + "transport_sockets."
_MATCHERS = ("xds.type.matcher.v3.Matcher", _CONFIG + "common.matcher.v3.Matcher")

STANDS_FOR: dict[Descriptor, tuple[str, ...]] = {
    wire.PerFilterEntry.DESCRIPTOR: (
        _CONFIG + "route.v3.RouteConfiguration.TypedPerFilterConfigEntry",
        _CONFIG + "route.v3.VirtualHost.TypedPerFilterConfigEntry",
        _CONFIG + "route.v3.Route.TypedPerFilterConfigEntry",
        _CONFIG + "route.v3.WeightedCluster.ClusterWeight.TypedPerFilterConfigEntry",
    ),
    wire.OptionsEntry.DESCRIPTOR: (_CONFIG + "cluster.v3.Cluster.TypedExtensionProtocolOptionsEntry",),
    wire.TypedStruct.DESCRIPTOR: ("udpa.type.v1.TypedStruct", "xds.type.v3.TypedStruct"),
    wire.ExtensionConfigSource.DESCRIPTOR: (_CONFIG + "core.v3.ExtensionConfigSource",),
    wire.TypedExtensionConfig.DESCRIPTOR: (
        _CONFIG + "core.v3.TypedExtensionConfig",
        "xds.core.v3.TypedExtensionConfig",
    ),
    wire.Filter.DESCRIPTOR: (_MANAGER + "HttpFilter", _CONFIG + "listener.v3.Filter"),
    wire.ListenerFilter.DESCRIPTOR: (_CONFIG + "listener.v3.ListenerFilter",),
    wire.ClusterFilter.DESCRIPTOR: (_CONFIG + "cluster.v3.Filter",),
    wire.AccessLog.DESCRIPTOR: (_CONFIG + "accesslog.v3.AccessLog",),
    wire.FilterConfig.DESCRIPTOR: (_CONFIG + "route.v3.FilterConfig",),
    wire.TransportSocket.DESCRIPTOR: (_CONFIG + "core.v3.TransportSocket",),
    wire.Cluster.DESCRIPTOR: (_CONFIG + "cluster.v3.Cluster",),
    wire.HttpProtocolOptions.DESCRIPTOR: (_EXTENSIONS + "upstreams.http.v3.HttpProtocolOptions",),
    wire.Listener.DESCRIPTOR: (_CONFIG + "listener.v3.Listener",),
    wire.ApiListener.DESCRIPTOR: (_CONFIG + "listener.v3.ApiListener",),
    wire.FilterChain.DESCRIPTOR: (_CONFIG + "listener.v3.FilterChain",),
    wire.HttpConnectionManager.DESCRIPTOR: (_MANAGER + "HttpConnectionManager",),
    wire.ScopedRoutes.DESCRIPTOR: (_MANAGER + "ScopedRoutes",),
    wire.ScopedRouteConfigurationsList.DESCRIPTOR: (_MANAGER + "ScopedRouteConfigurationsList",),
    wire.TcpProxy.DESCRIPTOR: (_EXTENSIONS + "filters.network.tcp_proxy.v3.TcpProxy",),
    wire.Router.DESCRIPTOR: (_EXTENSIONS + "filters.http.router.v3.Router",),
    wire.ScopedRouteConfiguration.DESCRIPTOR: (_CONFIG + "route.v3.ScopedRouteConfiguration",),
    wire.RouteConfiguration.DESCRIPTOR: (_CONFIG + "route.v3.RouteConfiguration",),
    wire.VirtualHost.DESCRIPTOR: (_CONFIG + "route.v3.VirtualHost",),
    wire.RouteList.DESCRIPTOR: (_CONFIG + "route.v3.RouteList",),
    wire.Route.DESCRIPTOR: (_CONFIG + "route.v3.Route",),
    wire.RouteAction.DESCRIPTOR: (_CONFIG + "route.v3.RouteAction",),
    wire.WeightedCluster.DESCRIPTOR: (_CONFIG + "route.v3.WeightedCluster",),
    wire.Matcher.DESCRIPTOR: _MATCHERS,
    wire.ExtensionWithMatcher.DESCRIPTOR: (_EXTENSIONS + "common.matching.v3.ExtensionWithMatcher",),
    wire.ExtensionWithMatcherPerRoute.DESCRIPTOR: (
        _EXTENSIONS + "common.matching.v3.ExtensionWithMatcherPerRoute",
    ),
    wire.ExecuteFilterAction.DESCRIPTOR: (_EXTENSIONS + "filters.http.composite.v3.ExecuteFilterAction",),
    wire.DynamicConfig.DESCRIPTOR: (_EXTENSIONS + "filters.http.composite.v3.DynamicConfig",),
    wire.FilterChainConfiguration.DESCRIPTOR: (
        _EXTENSIONS + "filters.http.composite.v3.FilterChainConfiguration",
    ),
    wire.InternalUpstreamTransport.DESCRIPTOR: (_SOCKETS + "internal_upstream.v3.InternalUpstreamTransport",),
    wire.ProxyProtocolUpstreamTransport.DESCRIPTOR: (
        _SOCKETS + "proxy_protocol.v3.ProxyProtocolUpstreamTransport",
    ),
    wire.TapTransport.DESCRIPTOR: (_SOCKETS + "tap.v3.Tap",),
    wire.TcpStatsTransport.DESCRIPTOR: (_SOCKETS + "tcp_stats.v3.Config",),
    wire.Http11ProxyUpstreamTransport.DESCRIPTOR: (
        _SOCKETS + "http_11_proxy.v3.Http11ProxyUpstreamTransport",
    ),
    wire.StartTlsConfig.DESCRIPTOR: (
        _SOCKETS + "starttls.v3.UpstreamStartTlsConfig",
        _SOCKETS + "starttls.v3.StartTlsConfig",
    ),
    wire.TlsContext.DESCRIPTOR: (
        _SOCKETS + "tls.v3.UpstreamTlsContext",
        _SOCKETS + "tls.v3.DownstreamTlsContext",
    ),
    wire.CommonTlsContext.DESCRIPTOR: (_SOCKETS + "tls.v3.CommonTlsContext",),
}

ONLY_HTTP = wire.Filter.DESCRIPTOR.fields_by_name["is_optional"]
"""A network filter has no such field, and no other of its number."""

ELSEWHERE = {
    # Action is the TypedExtensionConfig of a matcher, which is not judged but looked into.
    wire.Matcher.Action.DESCRIPTOR: _CONFIG + "core.v3.TypedExtensionConfig",
    wire.Matcher.OnMatch.DESCRIPTOR: _MATCHERS[0] + ".OnMatch",
}


def pairs(ours: Descriptor, theirs: str) -> Iterator[tuple[Descriptor, Descriptor]]:
    """With those nested in it."""
    yield ours, Default().FindMessageTypeByName(ELSEWHERE.get(ours, theirs))
    for nested in ours.nested_types:
        yield from pairs(nested, f"{theirs}.{nested.name}")


ALL = [pair for ours, every in STANDS_FOR.items() for theirs in every for pair in pairs(ours, theirs)]


def kind(field: Any) -> str:
    """Which bytes and numbers are the same on the wire as what."""
    if field.type in (FieldDescriptor.TYPE_ENUM, FieldDescriptor.TYPE_INT32):
        return "number"
    if field.type in (FieldDescriptor.TYPE_MESSAGE, FieldDescriptor.TYPE_BYTES):
        return "message"
    return {FieldDescriptor.TYPE_STRING: "string", FieldDescriptor.TYPE_BOOL: "boolean"}[field.type]


@pytest.mark.parametrize(("ours", "theirs"), ALL, ids=lambda each: each.full_name)
def test_each_field_has_the_number_the_name_and_the_kind_of_envoys(
    ours: Descriptor, theirs: Descriptor
) -> None:
    for field in ours.fields:
        if field is ONLY_HTTP and theirs.name == "Filter":
            assert field.number not in theirs.fields_by_number
            continue
        other = theirs.fields_by_number[field.number]
        assert (field.name, kind(field)) == (other.name, kind(other)), field.full_name
        assert field.is_repeated or not other.is_repeated, f"{field.full_name} keeps only the last"


def test_every_message_of_the_walk_is_compared() -> None:
    compared = {ours for ours, _ in ALL}
    walked: set[Any] = {
        *places.RESOURCES.values(),
        *places.HOLDERS,
        *places.PARTS,
        *places.CONFIGURATIONS.values(),
    }
    walked |= {below for parts in places.PARTS.values() for below in parts.values()} - {wire.Any}
    assert {each.DESCRIPTOR for each in (*walked, *AROUND.values())} <= compared


def test_the_walk_enters_every_field_that_is_kept_as_bytes() -> None:
    """A field of our own that nobody looks into would be one forgotten."""
    for message, parts in places.PARTS.items():
        if message is wire.Cluster:
            continue  # has more to it: clusters.py
        ours = {field.name for field in message.DESCRIPTOR.fields if kind(field) == "message"}
        known = {"explicit_http_config"} if message is wire.HttpProtocolOptions else set()
        assert ours - known == set(parts), message.DESCRIPTOR.full_name


def test_every_configuration_is_of_the_type_it_stands_for() -> None:
    known: dict[str, Any] = {**places.CONFIGURATIONS, **AROUND}
    for full_name, message in known.items():
        assert full_name in STANDS_FOR[message.DESCRIPTOR]
