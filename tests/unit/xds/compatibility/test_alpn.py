"""What TLS contexts offer, once the extensions that gave it a meaning are gone."""

import pytest
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.base_pb2 import TransportSocket
from envoy.config.core.v3.protocol_pb2 import Http1ProtocolOptions, Http2ProtocolOptions
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.extensions.transport_sockets.http_11_proxy.v3.upstream_http_11_connect_pb2 import (
    Http11ProxyUpstreamTransport,
)
from envoy.extensions.transport_sockets.internal_upstream.v3.internal_upstream_pb2 import (
    InternalUpstreamTransport,
)
from envoy.extensions.transport_sockets.proxy_protocol.v3.upstream_proxy_protocol_pb2 import (
    ProxyProtocolUpstreamTransport,
)
from envoy.extensions.transport_sockets.raw_buffer.v3.raw_buffer_pb2 import RawBuffer
from envoy.extensions.transport_sockets.starttls.v3.starttls_pb2 import UpstreamStartTlsConfig
from envoy.extensions.transport_sockets.tap.v3.tap_pb2 import Tap
from envoy.extensions.transport_sockets.tcp_stats.v3.tcp_stats_pb2 import Config as TcpStats
from envoy.extensions.transport_sockets.tls.v3.common_pb2 import TlsParameters
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import (
    CommonTlsContext,
    DownstreamTlsContext,
    UpstreamTlsContext,
)
from envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions
from google.protobuf.message import Message

from lab.controlplane.snapshot.packing import pack, struct
from tests.unit.xds.compatibility import built
from tests.unit.xds.compatibility.built import PREFIX, as_struct
from tests.unit.xds.compatibility.nodes import ISTIO_TYPES, STOCK_TYPES, node, stock
from tests.unit.xds.compatibility.plain import plain
from vmagent.xds.compatibility import Compatibility

EXCHANGE = "istio-peer-exchange"
EXTENSION = {"istio.metadata_exchange": as_struct("envoy.tcp.metadataexchange.config.MetadataExchange")}
OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

Explicit = HttpProtocolOptions.ExplicitHttpConfig
HTTP1 = HttpProtocolOptions(explicit_http_config=Explicit(http_protocol_options=Http1ProtocolOptions()))
HTTP2 = HttpProtocolOptions(explicit_http_config=Explicit(http2_protocol_options=Http2ProtocolOptions()))
BY_REQUEST = HttpProtocolOptions(use_downstream_protocol_config={"http2_protocol_options": {}})
BY_PEER = HttpProtocolOptions(auto_config={"http2_protocol_options": {}})


def common(*offered: str) -> CommonTlsContext:
    parameters = TlsParameters(tls_minimum_protocol_version=TlsParameters.TLSv1_2)
    return CommonTlsContext(tls_params=parameters, alpn_protocols=offered)


def tls(*offered: str, sni: str = "outbound_.80_._.nginx.jd.com") -> TransportSocket:
    context = UpstreamTlsContext(common_tls_context=common(*offered), sni=sni)
    return TransportSocket(name="envoy.transport_sockets.tls", typed_config=pack(context))


def cluster(
    socket: TransportSocket, options: Message | None = None, *, filtered: bool = True, name: str = "it"
) -> Cluster:
    """As istiod builds them: TLS for endpoints that are in the mesh, and in the clear for others."""
    made = built.cluster_filters(EXTENSION if filtered else {})
    made.name = name
    if options:
        made.typed_extension_protocol_options[OPTIONS].CopyFrom(pack(options))
    plain_text = TransportSocket(name="envoy.transport_sockets.raw_buffer", typed_config=pack(RawBuffer()))
    for key, each in {"istio": socket, "disabled": plain_text}.items():
        made.transport_socket_matches.add(
            name=f"tlsMode-{key}", match=struct({"tlsMode": key}), transport_socket=each
        )
    return made


def adapted(message: Message, compatibility: Compatibility | None = None) -> object:
    found = (compatibility or stock()).resource(
        PREFIX + message.DESCRIPTOR.full_name, message.SerializeToString()
    )
    assert isinstance(found, bytes), found
    return plain(type(message).FromString(found))


def test_the_protocol_of_metadata_exchange_leaves_every_context_of_a_cluster() -> None:
    both = cluster(tls(EXCHANGE, "istio"))
    both.transport_socket.CopyFrom(tls("istio", EXCHANGE, "h2"))
    expected = cluster(tls("istio"), filtered=False)
    expected.transport_socket.CopyFrom(tls("istio", "h2"))
    assert adapted(both) == plain(expected)


def test_it_leaves_the_contexts_of_filter_chains_too_but_not_what_a_chain_is_chosen_by() -> None:
    def listener(*offered: str) -> Listener:
        context = DownstreamTlsContext(common_tls_context=common(*offered))
        made = built.network_filters(EXTENSION if EXCHANGE in offered else {})
        made.default_filter_chain.CopyFrom(made.filter_chains[0])
        for chain in (made.filter_chains[0], made.default_filter_chain):
            chain.filter_chain_match.application_protocols.extend((EXCHANGE, "istio"))
            chain.transport_socket.CopyFrom(TransportSocket(name="any", typed_config=pack(context)))
        return made

    assert adapted(listener(EXCHANGE, "h2", "http/1.1")) == plain(listener("h2", "http/1.1"))


@pytest.mark.parametrize(
    "around",
    [
        lambda inner: InternalUpstreamTransport(transport_socket=inner),
        lambda inner: ProxyProtocolUpstreamTransport(transport_socket=inner),
        lambda inner: Tap(transport_socket=inner),
        lambda inner: TcpStats(transport_socket=inner),
        lambda inner: Http11ProxyUpstreamTransport(transport_socket=inner),
        lambda inner: UpstreamStartTlsConfig(
            tls_socket_config=UpstreamTlsContext.FromString(inner.typed_config.value)
        ),
        lambda inner: Tap(
            transport_socket=TransportSocket(typed_config=pack(TcpStats(transport_socket=inner)))
        ),
    ],
    ids=["internal", "proxy protocol", "tap", "statistics", "http proxy", "start tls", "two"],
)
def test_it_leaves_a_context_that_is_inside_another_transport(around: object) -> None:
    def made(*offered: str) -> Cluster:
        outer = TransportSocket(name="outer", typed_config=pack(around(tls(*offered))))  # type: ignore[operator]
        return cluster(outer, filtered=EXCHANGE in offered)

    assert adapted(made(EXCHANGE, "istio")) == plain(made("istio"))


@pytest.mark.parametrize(
    ("options", "offered", "expected"),
    [
        (HTTP2, (EXCHANGE, "istio", "h2"), ("istio-h2", "istio", "h2")),
        (HTTP1, (EXCHANGE, "istio"), ("istio-http/1.1", "istio", "http/1.1")),
        (None, (EXCHANGE, "istio"), ("istio",)),
        (BY_REQUEST, (EXCHANGE, "istio"), ("istio",)),
        (BY_PEER, (EXCHANGE, "istio"), ("istio",)),
        (HTTP2, ("h2",), ("h2",)),
        (HTTP2, ("istio", "h2", "of-the-users-own"), ("istio-h2", "istio", "h2", "of-the-users-own")),
    ],
    ids=["http2", "http1", "none", "by the request", "by the peer", "not of the mesh", "more"],
)
def test_a_cluster_announces_what_it_always_speaks(
    options: Message | None, offered: tuple[str, ...], expected: tuple[str, ...]
) -> None:
    found = adapted(cluster(tls(*offered), options))
    assert found == plain(cluster(tls(*expected), options, filtered=False))


def test_the_options_of_older_control_planes_count_too() -> None:
    made = cluster(tls(EXCHANGE, "istio"))
    made.http2_protocol_options.SetInParent()
    expected = cluster(tls("istio-h2", "istio", "h2"), filtered=False)
    expected.http2_protocol_options.SetInParent()
    assert adapted(made) == plain(expected)
    made.protocol_selection = Cluster.USE_DOWNSTREAM_PROTOCOL
    expected = cluster(tls("istio"), filtered=False)
    expected.http2_protocol_options.SetInParent()
    expected.protocol_selection = Cluster.USE_DOWNSTREAM_PROTOCOL
    assert adapted(made) == plain(expected)


def test_a_cluster_without_an_extension_of_istios_announces_nothing_new() -> None:
    made = cluster(tls("istio", "h2"), HTTP2, filtered=False)
    value = made.SerializeToString()
    assert stock().resource(PREFIX + made.DESCRIPTOR.full_name, value) is value


def test_an_envoy_that_has_istio_alpn_alone_announces_by_itself() -> None:
    alpn = [each for each in ISTIO_TYPES if ".alpn." in each]
    half = Compatibility.of(node((*STOCK_TYPES, *alpn)))
    expected = cluster(tls("istio", "h2"), HTTP2, filtered=False)
    assert adapted(cluster(tls(EXCHANGE, "istio", "h2"), HTTP2), half) == plain(expected)


def test_an_envoy_that_has_metadata_exchange_alone_goes_on_exchanging() -> None:
    exchange = [each for each in ISTIO_TYPES if ".metadataexchange." in each]
    half = Compatibility.of(node((*STOCK_TYPES, *exchange)))
    made = cluster(tls(EXCHANGE, "istio", "h2"), HTTP2)
    value = made.SerializeToString()
    assert half.resource(PREFIX + made.DESCRIPTOR.full_name, value) is value


def test_ten_thousand_clusters_are_read_as_one_would_be_whatever_their_names_are_long() -> None:
    """One agent for all remembers how contexts begin; for each one its own does not."""
    together = stock()
    for length in (*range(1, 300), 16_100, 16_200, 16_300, 16_400, 2_097_200):
        for offered in ((EXCHANGE, "istio"), (EXCHANGE, "istio", EXCHANGE), ("istio", EXCHANGE)):
            made = cluster(tls(*offered, sni="s" * length), name="n" * length)
            assert adapted(made, together) == plain(
                cluster(tls("istio", sni="s" * length), filtered=False, name="n" * length)
            )
