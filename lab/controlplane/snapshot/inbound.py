"""The inbound listener: one socket for everything that arrives, chains chosen by port and protocol.

Surprise:  both TLS and plain text are taken on every port (PERMISSIVE, Istio's default): a client without a
           sidecar still gets through. A mesh peer is told apart by the ALPN names only the mesh uses.
"""

from collections.abc import Iterator
from typing import Final

from envoy.config.core.v3 import base_pb2
from envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain, ListenerFilter
from envoy.config.listener.v3.listener_components_pb2 import FilterChainMatch as Match
from envoy.config.listener.v3.listener_components_pb2 import (
    ListenerFilterChainMatchPredicate as Predicate,
)
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.extensions.filters.listener.original_dst.v3 import original_dst_pb2
from envoy.extensions.filters.listener.tls_inspector.v3 import tls_inspector_pb2

from lab.controlplane.snapshot import names, tls
from lab.controlplane.snapshot.http import inbound_http
from lab.controlplane.snapshot.listeners import (
    CONNECTION_BATCH,
    PLAIN,
    PLAIN_HTTP,
    http_inspector,
    socket_address,
    tcp_proxy,
)
from lab.controlplane.snapshot.packing import pack, seconds
from lab.controlplane.snapshot.routes import inbound_routes
from lab.controlplane.snapshot.view import OwnPort, View

_TLS: Final = "tls"
_FIRST_READ: Final = 512
"""Bytes the TLS inspector reads at first; a usual ClientHello fits, and memory is held per open
connection."""
_CATCHALL_HTTP: Final = f"{names.VIRTUAL_INBOUND}-catchall-http"


def inbound_listener(view: View) -> Listener:
    return Listener(
        name=names.VIRTUAL_INBOUND,
        address=socket_address(names.ANY_ADDRESS, names.INBOUND_PORT),
        filter_chains=[
            _black_hole(),
            *_catch_all(view),
            *(chain for own in view.own for chain in _own(view, own)),
        ],
        listener_filters=_listener_filters(view),
        listener_filters_timeout=seconds(0),
        continue_on_listener_filters_timeout=True,
        traffic_direction=base_pb2.INBOUND,
        max_connections_to_accept_per_socket_event={"value": CONNECTION_BATCH},
    )


def _black_hole() -> FilterChain:
    """Sent to 15006 itself: handing it on would be a loop."""
    return FilterChain(
        name=f"{names.VIRTUAL_INBOUND}-blackhole",
        filter_chain_match=Match(destination_port={"value": names.INBOUND_PORT}),
        filters=[tcp_proxy(names.BLACK_HOLE)],
    )


def _catch_all(view: View) -> Iterator[FilterChain]:
    """Ports that no service names: HTTP where it can be recognised, bytes otherwise."""
    routes = inbound_routes(
        name=names.INBOUND_PASSTHROUGH,
        port=0,
        cluster=names.INBOUND_PASSTHROUGH,
        operation=names.operation("", 0),
    )
    http = inbound_http(view.proxy, stat_prefix=f"{names.INBOUND_PASSTHROUGH};", routes=routes)
    tcp = tcp_proxy(names.INBOUND_PASSTHROUGH)
    yield _mutual(view, _CATCHALL_HTTP, Match(application_protocols=tls.MESH_HTTP), http)
    yield _chain(_CATCHALL_HTTP, Match(transport_protocol=PLAIN, application_protocols=PLAIN_HTTP), http)
    yield _mutual(view, names.VIRTUAL_INBOUND, Match(application_protocols=[tls.MESH_TCP]), tcp)
    yield _chain(names.VIRTUAL_INBOUND, Match(transport_protocol=PLAIN), tcp)
    # TLS of somebody else: the application's own, not ours to end.
    yield _chain(names.VIRTUAL_INBOUND, Match(transport_protocol=_TLS), tcp)


def _own(view: View, own: OwnPort) -> Iterator[FilterChain]:
    name = names.listener(names.ANY_ADDRESS, own.number)
    end = _end(view, own, name)
    protocols = [tls.MESH_TCP, *tls.MESH_HTTP]
    yield _mutual(
        view, name, Match(destination_port={"value": own.number}, application_protocols=protocols), end
    )
    if not own.protocol.http:
        yield _chain(name, Match(destination_port={"value": own.number}, transport_protocol=_TLS), end)
    yield _chain(name, Match(destination_port={"value": own.number}, transport_protocol=PLAIN), end)


def _end(view: View, own: OwnPort, name: str) -> Filter:
    cluster = names.inbound(own.number)
    if not own.protocol.http:
        return tcp_proxy(cluster)
    service, port = own.services[0]
    routes = inbound_routes(
        name=cluster, port=port.number, cluster=cluster, operation=names.operation(service.host, port.number)
    )
    return inbound_http(view.proxy, stat_prefix=f"inbound_{name};", routes=routes)


def _mutual(view: View, name: str, match: Match, end: Filter) -> FilterChain:
    match.transport_protocol = _TLS
    chain = _chain(name, match, end)
    chain.transport_socket.CopyFrom(tls.termination(view.mesh.trust_domain))
    return chain


def _chain(name: str, match: Match, end: Filter) -> FilterChain:
    return FilterChain(name=name, filter_chain_match=match, filters=[end])


def _listener_filters(view: View) -> list[ListenerFilter]:
    """Reading ahead to guess the protocol is switched off where the answer is known or does not matter."""
    original_dst = ListenerFilter(
        name="envoy.filters.listener.original_dst", typed_config=pack(original_dst_pb2.OriginalDst())
    )
    tls_inspector = ListenerFilter(
        name="envoy.filters.listener.tls_inspector",
        typed_config=pack(tls_inspector_pb2.TlsInspector(initial_read_buffer_size={"value": _FIRST_READ})),
        filter_disabled=_on_ports([names.INBOUND_PORT]),
    )
    http = http_inspector()
    http.filter_disabled.CopyFrom(_on_ports([*(own.number for own in view.own), names.INBOUND_PORT]))
    return [original_dst, tls_inspector, http]


def _on_ports(ports: list[int]) -> Predicate:
    rules = [Predicate(destination_port_range={"start": port, "end": port + 1}) for port in ports]
    return rules[0] if len(rules) == 1 else Predicate(or_match={"rules": rules})
