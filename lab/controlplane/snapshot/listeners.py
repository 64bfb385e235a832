"""Outbound listeners: one per HTTP port, one per address of a TCP service, one that meets them all.

Does not:  know the inbound side (inbound.py).
Surprise:  only virtualOutbound has a socket. It hands a connection over to the listener of its original
           destination, and keeps what nobody claims: that passes through unchanged, or dies if it was sent to
           the port itself.
"""

from collections.abc import Iterator
from typing import Final

from envoy.config.core.v3 import base_pb2
from envoy.config.core.v3.address_pb2 import Address
from envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain, ListenerFilter
from envoy.config.listener.v3.listener_components_pb2 import FilterChainMatch as Match
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.extensions.filters.listener.http_inspector.v3 import http_inspector_pb2
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2

from lab.controlplane.snapshot import names
from lab.controlplane.snapshot.http import outbound_http
from lab.controlplane.snapshot.packing import pack, seconds
from lab.controlplane.snapshot.view import View

PLAIN_HTTP: Final = ("http/1.1", "h2c")
"""What Envoy's http_inspector calls the plain HTTP it recognises."""
PLAIN: Final = "raw_buffer"

CONNECTION_BATCH: Final = 1
"""Connections taken per wake-up: a burst is shared among workers instead of landing on one."""
_HANDSHAKE: Final = 15
"""Seconds a transport socket may take to be ready; Istio's default."""


def outbound_listeners(view: View) -> Iterator[Listener]:
    for number in view.http_ports():
        yield _http(view, number)
    for seen, port in view.ports():
        if not port.protocol.http:
            for address in seen.single_addresses:
                yield _tcp(address, port.number, names.outbound(port.number, seen.host))
    yield _virtual_outbound()


def tcp_proxy(cluster: str) -> Filter:
    config = tcp_proxy_pb2.TcpProxy(stat_prefix=cluster, cluster=cluster)
    return Filter(name="envoy.filters.network.tcp_proxy", typed_config=pack(config))


def http_inspector() -> ListenerFilter:
    return ListenerFilter(
        name="envoy.filters.listener.http_inspector", typed_config=pack(http_inspector_pb2.HttpInspector())
    )


def socket_address(address: str, port: int) -> Address:
    return Address(socket_address={"address": address, "port_value": port})


def _http(view: View, port: int) -> Listener:
    """Plain HTTP is routed by host; anything else that comes to the port passes through."""
    name = names.listener(names.ANY_ADDRESS, port)
    manager = outbound_http(view.proxy, stat_prefix=f"outbound_{name};", route_name=str(port))
    chain = FilterChain(
        filter_chain_match=Match(transport_protocol=PLAIN, application_protocols=PLAIN_HTTP),
        filters=[manager],
        transport_socket_connect_timeout=seconds(_HANDSHAKE),
    )
    listener = _unbound(names.ANY_ADDRESS, port, chain)
    listener.listener_filters.append(http_inspector())
    listener.default_filter_chain.CopyFrom(
        FilterChain(
            name="PassthroughFilterChain", filter_chain_match=Match(), filters=[tcp_proxy(names.PASSTHROUGH)]
        )
    )
    return listener


def _tcp(address: str, port: int, cluster: str) -> Listener:
    chain = FilterChain(filters=[tcp_proxy(cluster)], transport_socket_connect_timeout=seconds(_HANDSHAKE))
    return _unbound(address, port, chain)


def _unbound(address: str, port: int, chain: FilterChain) -> Listener:
    return Listener(
        name=names.listener(address, port),
        address=socket_address(address, port),
        filter_chains=[chain],
        listener_filters_timeout=seconds(0),
        continue_on_listener_filters_timeout=True,
        traffic_direction=base_pb2.OUTBOUND,
        bind_to_port={"value": False},
    )


def _virtual_outbound() -> Listener:
    port = names.OUTBOUND_PORT
    return Listener(
        name=names.VIRTUAL_OUTBOUND,
        address=socket_address(names.ANY_ADDRESS, port),
        filter_chains=[
            FilterChain(
                name=f"{names.VIRTUAL_OUTBOUND}-blackhole",
                # Sent to 15001 itself: passing it through would be a loop.
                filter_chain_match=Match(destination_port={"value": port}),
                filters=[tcp_proxy(names.BLACK_HOLE)],
            ),
            FilterChain(
                name=f"{names.VIRTUAL_OUTBOUND}-catchall-tcp", filters=[tcp_proxy(names.PASSTHROUGH)]
            ),
        ],
        use_original_dst={"value": True},
        traffic_direction=base_pb2.OUTBOUND,
        max_connections_to_accept_per_socket_event={"value": CONNECTION_BATCH},
    )
