"""Istio's own extensions of Envoy, put into clusters and listeners as istiod puts them there.

Owns:      their names, configurations and places, and the protocol that comes with one of them.
Does not:  appear unless the mesh asks for it (Mesh.istio_filters): a stock Envoy rejects every one of them.

Source: recordings of istiod 1.29.6 with metadata exchange and the provider ``prometheus``, as an ordinary
installation has them.
"""

from dataclasses import dataclass
from typing import Final

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.cluster.v3.filter_pb2 import Filter as ClusterFilter
from envoy.config.core.v3 import base_pb2
from envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
    HttpFilter,
)
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import DownstreamTlsContext, UpstreamTlsContext
from google.protobuf import any_pb2
from udpa.type.v1.typed_struct_pb2 import TypedStruct

from lab.controlplane._pb import alpn_pb2, stats_pb2
from lab.controlplane.snapshot import names
from lab.controlplane.snapshot.packing import pack, struct
from lab.controlplane.snapshot.tls import MESH_TCP

PEER_EXCHANGE: Final = "istio-peer-exchange"
"""Whoever negotiates it speaks metadata exchange before anything else."""

_INBOUND: Final = "inbound|"
_TYPE: Final = "type.googleapis.com/"
_METADATA: Final = "istio.metadata_exchange"
_STATS: Final = "istio.stats"
_MANAGER: Final = "envoy.filters.network.http_connection_manager"
_GRPC_STATS: Final = "envoy.filters.http.grpc_stats"
_TCP: Final = "envoy.filters.network.tcp_proxy"
_HEADERS: Final[dict[str, object]] = {"istio_headers": {}}
_DISCOVERY: Final[list[dict[str, object]]] = [_HEADERS, {"workload_discovery": {}}]
_ALPN: Final = (("HTTP10", "http/1.0"), ("HTTP11", "http/1.1"), ("HTTP2", "h2"))


def with_clusters_filters(cluster: Cluster) -> Cluster:
    """Metadata is exchanged with peers, not with the application or with nobody."""
    if cluster.name in (names.BLACK_HOLE, names.INBOUND_PASSTHROUGH) or cluster.name.startswith(_INBOUND):
        return cluster
    cluster.filters.append(ClusterFilter(name=_METADATA, typed_config=_exchange()))
    for socket in (
        cluster.transport_socket,
        *(each.transport_socket for each in cluster.transport_socket_matches),
    ):
        _offer(socket)
    return cluster


def with_listeners_filters(listener: Listener, *, router: bool = False) -> Listener:
    side = _Side(inbound=listener.traffic_direction == base_pb2.INBOUND, router=router)
    for chain in listener.filter_chains:
        _extend(chain, side)
    if listener.HasField("default_filter_chain"):
        _extend(listener.default_filter_chain, side)
    return listener


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """Whose listener it is: of a router, of a sidecar for what arrives, or for what leaves."""

    inbound: bool
    router: bool


def _extend(chain: FilterChain, side: _Side) -> None:
    """The last filter of a chain is what serves: HTTP, or bytes."""
    last = chain.filters[-1]
    exchanges = side.inbound or (last.name == _TCP and _ends_mesh_tls(chain))
    before = [Filter(name=_METADATA, typed_config=_exchange())] if exchanges else []
    if last.name == _MANAGER:
        _extend_http(last, side)
    elif last.name == _TCP:
        before.append(Filter(name=_STATS, typed_config=_stats(side)))
        _take(chain, side)
    others = list(chain.filters)
    del chain.filters[:]
    chain.filters.extend([*before, *others])
    _match(chain)


def _extend_http(last: Filter, side: _Side) -> None:
    manager = HttpConnectionManager.FromString(last.typed_config.value)
    *others, router = manager.http_filters
    grpc = 1 + next(index for index, each in enumerate(others) if each.name == _GRPC_STATS)
    metadata = HttpFilter(name=_METADATA, typed_config=_peer_metadata(inbound=side.inbound))
    alpn = [] if side.inbound else [HttpFilter(name="istio.alpn", typed_config=_alpn())]
    stats = HttpFilter(name=_STATS, typed_config=_stats(side))
    filters = [metadata, *others[:grpc], *alpn, *others[grpc:], stats, router]
    del manager.http_filters[:]
    manager.http_filters.extend(filters)
    last.typed_config.CopyFrom(pack(manager))


def _take(chain: FilterChain, side: _Side) -> None:
    """Metadata is exchanged by whoever ends a TCP connection of the mesh; over HTTP it is in headers."""
    if not chain.HasField("transport_socket"):
        return
    context = DownstreamTlsContext.FromString(chain.transport_socket.typed_config.value)
    offered = context.common_tls_context.alpn_protocols
    if _ends_mesh_tls(chain):
        offered.remove(MESH_TCP)
    elif side.router:
        return
    offered.insert(0, PEER_EXCHANGE)
    chain.transport_socket.typed_config.CopyFrom(pack(context))


def _ends_mesh_tls(chain: FilterChain) -> bool:
    """Of a router, for bytes alone."""
    context = DownstreamTlsContext.FromString(chain.transport_socket.typed_config.value)
    return MESH_TCP in context.common_tls_context.alpn_protocols


def _offer(socket: base_pb2.TransportSocket) -> None:
    """To a peer of the mesh; not where a rule names files."""
    if not socket.typed_config.Is(UpstreamTlsContext.DESCRIPTOR):
        return
    context = UpstreamTlsContext.FromString(socket.typed_config.value)
    if MESH_TCP in context.common_tls_context.alpn_protocols:
        context.common_tls_context.alpn_protocols.insert(0, PEER_EXCHANGE)
        socket.typed_config.CopyFrom(pack(context))


def _match(chain: FilterChain) -> None:
    """Who offers it is of the mesh. istiod writes the two names in one order for a chain that takes HTTP too,
    and in the other for one of bytes alone.
    """
    offered = chain.filter_chain_match.application_protocols
    if MESH_TCP in offered:
        offered.insert(0 if len(offered) == 1 else 1, PEER_EXCHANGE)


def _exchange() -> any_pb2.Any:
    return _struct(
        "envoy.tcp.metadataexchange.config.MetadataExchange",
        {"protocol": PEER_EXCHANGE, "enable_discovery": True},
    )


def _peer_metadata(*, inbound: bool) -> any_pb2.Any:
    side = "downstream" if inbound else "upstream"
    said: dict[str, object] = {f"{side}_discovery": _DISCOVERY, f"{side}_propagation": [_HEADERS]}
    return _struct("io.istio.http.peer_metadata.Config", said)


def _alpn() -> any_pb2.Any:
    config = alpn_pb2.FilterConfig()
    for protocol, spoken in _ALPN:
        config.alpn_override.add(
            upstream_protocol=protocol, alpn_override=(f"istio-{spoken}", MESH_TCP, spoken)
        )
    return pack(config)


def _stats(side: _Side) -> any_pb2.Any:
    return pack(stats_pb2.PluginConfig(disable_host_header_fallback=side.inbound or side.router))


def _struct(name: str, said: dict[str, object]) -> any_pb2.Any:
    """istiod has no stubs of these either, and writes them as JSON."""
    return pack(TypedStruct(type_url=_TYPE + name, value=struct(said)))
