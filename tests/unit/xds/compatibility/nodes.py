"""What Envoys say about themselves."""

from collections.abc import Iterable

from vmagent._pb import wire_pb2 as wire
from vmagent.xds.compatibility import Compatibility
from vmagent.xds.compatibility.catalogue import EXTENSIONS

_ENVOY = "envoy.extensions."

STOCK_TYPES = (
    _ENVOY + "access_loggers.file.v3.FileAccessLog",
    _ENVOY + "access_loggers.stream.v3.StdoutAccessLog",
    _ENVOY + "common.matching.v3.ExtensionWithMatcher",
    _ENVOY + "common.matching.v3.ExtensionWithMatcherPerRoute",
    _ENVOY + "filters.http.composite.v3.Composite",
    _ENVOY + "filters.http.cors.v3.Cors",
    _ENVOY + "filters.http.fault.v3.HTTPFault",
    _ENVOY + "filters.http.grpc_stats.v3.FilterConfig",
    _ENVOY + "filters.http.rbac.v3.RBAC",
    _ENVOY + "filters.http.rbac.v3.RBACPerRoute",
    _ENVOY + "filters.http.router.v3.Router",
    _ENVOY + "filters.http.upstream_codec.v3.UpstreamCodec",
    _ENVOY + "filters.http.wasm.v3.Wasm",
    _ENVOY + "filters.listener.http_inspector.v3.HttpInspector",
    _ENVOY + "filters.listener.original_dst.v3.OriginalDst",
    _ENVOY + "filters.listener.tls_inspector.v3.TlsInspector",
    _ENVOY + "filters.network.http_connection_manager.v3.HttpConnectionManager",
    _ENVOY + "filters.network.mongo_proxy.v3.MongoProxy",
    _ENVOY + "filters.network.tcp_proxy.v3.TcpProxy",
    _ENVOY + "network.dns_resolver.cares.v3.CaresDnsResolverConfig",
    _ENVOY + "request_id.uuid.v3.UuidRequestIdConfig",
    _ENVOY + "retry.host.previous_hosts.v3.PreviousHostsPredicate",
    _ENVOY + "transport_sockets.raw_buffer.v3.RawBuffer",
    _ENVOY + "transport_sockets.tls.v3.DownstreamTlsContext",
    _ENVOY + "transport_sockets.tls.v3.UpstreamTlsContext",
    _ENVOY + "upstreams.http.v3.HttpProtocolOptions",
)
"""A part of what a stock Envoy lists, which tests/flow/xds/test_stock_envoy.py compares with a real one."""

ISTIO_TYPES = tuple(name for extension in EXTENSIONS for name in extension.types)


def node(types: Iterable[str] = (), names: Iterable[str] = ()) -> wire.Node:
    """``names`` are listed without types, as an old Envoy does it."""
    typed = [wire.Extension(name=each.rpartition(".")[2], type_urls=[each]) for each in types]
    return wire.Node(extensions=[*typed, *(wire.Extension(name=each) for each in names)])


def stock() -> Compatibility:
    return Compatibility.of(node(STOCK_TYPES))


def istios() -> Compatibility:
    return Compatibility.of(node((*STOCK_TYPES, *ISTIO_TYPES)))
