"""Outbound listeners: one per HTTP port, one per address of a TCP service, one that meets them all.

Owns:      what happens when two services claim one address and port.
Does not:  know the inbound side (inbound.py) or routers (gateway_listeners.py).
Surprise:  only virtualOutbound has a socket. It hands a connection over to the listener of its original
           destination, and keeps what nobody claims: that passes through unchanged, or dies if it was sent to
           the port itself.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from envoy.config.core.v3 import base_pb2
from envoy.config.listener.v3.listener_components_pb2 import FilterChain, FilterChainMatch
from envoy.config.listener.v3.listener_pb2 import Listener

from lab.controlplane.kinds.protocol import Protocol
from lab.controlplane.kinds.service_entry import Resolution, ServicePort
from lab.controlplane.snapshot import names
from lab.controlplane.snapshot.chains import (
    PLAIN,
    PLAIN_HTTP,
    Chain,
    distinct,
    inspectors,
    socket_address,
)
from lab.controlplane.snapshot.connection_chains import Bound, connection_chains
from lab.controlplane.snapshot.families import also_at
from lab.controlplane.snapshot.http import outbound_http
from lab.controlplane.snapshot.network_filters import catch_all, tcp_proxy
from lab.controlplane.snapshot.packing import seconds
from lab.controlplane.snapshot.view import Seen, View

CONNECTION_BATCH: Final = 1
"""Connections taken per wake-up: a burst is shared among workers instead of landing on one."""
_RESERVED: Final = frozenset({names.OUTBOUND_PORT, names.INBOUND_PORT, 15021, 15090})
"""Ports the proxy itself listens on, on every address."""


@dataclass(slots=True, kw_only=True)
class _Entry:
    """A listener while services still claim a part of it."""

    number: int
    addresses: tuple[str, ...]
    chains: list[Chain]
    protocol: Protocol
    """AUTO also where HTTP and other bytes share the port."""


def outbound_listeners(view: View) -> Iterator[Listener]:
    entries: dict[tuple[str, int], _Entry] = {}
    for seen in view.listened:
        for port in seen.service.ports:
            _claim(view, entries, seen, port)
    for entry in entries.values():
        yield _built(view, entry)
    if view.mesh.http_proxy_port:
        yield _http_proxy(view)
    yield _virtual_outbound(view)


def _claim(view: View, entries: dict[tuple[str, int], _Entry], seen: Seen, port: ServicePort) -> None:
    if port.protocol is Protocol.UDP or (port.protocol.http and port.number in _RESERVED):
        return
    own = names.ANY_ADDRESS if port.protocol.http or seen.is_range else seen.address
    if not (seen.service.resolution is Resolution.NONE and seen.everywhere) or port.protocol.http:
        _enter(view, entries, Bound(seen=seen, port=port, address=own))
        return
    reached = [each for each in seen.instances if each.serving and each.port(port)]
    if not reached and not seen.service.kubernetes and seen.service.selector is None:
        _enter(view, entries, Bound(seen=seen, port=port, address=own))
    for instance in reached:
        # To itself a workload does not go through its proxy.
        if instance.is_ip and instance.address != view.proxy.ips[0]:
            _enter(view, entries, Bound(seen=seen, port=port, address=instance.address))


def _enter(view: View, entries: dict[tuple[str, int], _Entry], bound: Bound) -> None:
    """Takes the port at its address, or a share of it. Who comes to a port where servers speak first, or
    wants to make one of a shared port, is turned away."""
    port, place = bound.port, (bound.address, bound.port.number)
    current = entries.get(place)
    if current is None:
        protocol = Protocol.AUTO if port.protocol.http else port.protocol
        entries[place] = _Entry(
            number=port.number,
            addresses=_addresses(view, bound),
            chains=_chains(view, bound),
            protocol=protocol,
        )
        return
    if port.protocol.routed and current.protocol is Protocol.AUTO:
        return  # requests of all services share one chain
    first = current.protocol.speaks_first or port.protocol.speaks_first
    if first and current.protocol is not port.protocol:
        return
    current.chains = distinct([*current.chains, *_chains(view, bound)])
    if port.protocol.routed:
        current.protocol = Protocol.AUTO


def _addresses(view: View, bound: Bound) -> tuple[str, ...]:
    if bound.address == names.ANY_ADDRESS:
        return view.families.wildcards
    return (bound.address, *(bound.seen.more_addresses if bound.address == bound.seen.address else ()))


def _chains(view: View, bound: Bound) -> list[Chain]:
    connections = [] if bound.port.protocol.http else connection_chains(view, bound)
    if not bound.port.protocol.routed:
        return connections
    number, everywhere = bound.port.number, bound.address == names.ANY_ADDRESS
    # A service on an address of its own whose protocol is found out has a table of its own.
    shared = bound.port.protocol.http or everywhere
    route = str(number) if shared else names.virtual_host(bound.seen.host, number)
    manager = outbound_http(
        view.proxy,
        stat_prefix=f"outbound_{names.listener(_addresses(view, bound)[0], number)};",
        route_name=route,
        protocol=bound.port.protocol,
    )
    return [*connections, Chain(transport=PLAIN, protocols=PLAIN_HTTP, filters=(manager,))]


def _built(view: View, entry: _Entry, *, passes: bool = True) -> Listener:
    """``passes``: what no chain takes goes where unknown connections go."""
    chains = [each.built() for each in entry.chains if not each.takes_all]
    default = next((each.built() for each in entry.chains if each.takes_all), None)
    if default is not None and not chains:
        chains, default = [default], None
    elif default is None and passes:
        default = _fall_through(view)
    sniffs = any(each.protocols for each in entry.chains)
    first, *others = entry.addresses
    listener = Listener(
        name=names.listener(first, entry.number),
        address=socket_address(first, entry.number),
        filter_chains=chains,
        default_filter_chain=default,
        listener_filters=inspectors(entry.chains),
        listener_filters_timeout=seconds(view.mesh.detection_timeout if sniffs else 0),
        continue_on_listener_filters_timeout=True,
        traffic_direction=base_pb2.OUTBOUND,
        bind_to_port={"value": False},
    )
    return also_at(listener, others)


def _fall_through(view: View) -> FilterChain:
    return FilterChain(
        name="PassthroughFilterChain", filter_chain_match=FilterChainMatch(), filters=[catch_all(view)]
    )


def _http_proxy(view: View) -> Listener:
    """For applications that are told to use a proxy: one port on the loopback, every service by its name."""
    port, loopbacks = view.mesh.http_proxy_port, view.families.loopbacks
    manager = outbound_http(
        view.proxy,
        stat_prefix=f"outbound_{names.listener(loopbacks[0], port)};",
        route_name=names.HTTP_PROXY,
        protocol=Protocol.HTTP,
        absolute_urls=True,
    )
    entry = _Entry(
        number=port, addresses=loopbacks, chains=[Chain(filters=(manager,))], protocol=Protocol.HTTP
    )
    listener = _built(view, entry, passes=False)
    listener.ClearField("bind_to_port")
    listener.max_connections_to_accept_per_socket_event.value = CONNECTION_BATCH
    return listener


def _virtual_outbound(view: View) -> Listener:
    port = names.OUTBOUND_PORT
    first, *others = view.families.wildcards
    listener = Listener(
        name=names.VIRTUAL_OUTBOUND,
        address=socket_address(first, port),
        filter_chains=_virtual_chains(view, port),
        use_original_dst={"value": True},
        traffic_direction=base_pb2.OUTBOUND,
        max_connections_to_accept_per_socket_event={"value": CONNECTION_BATCH},
    )
    return also_at(listener, others)


def _virtual_chains(view: View, port: int) -> Iterable[FilterChain]:
    yield FilterChain(
        name=f"{names.VIRTUAL_OUTBOUND}-blackhole",
        # Sent to 15001 itself: passing it through would be a loop.
        filter_chain_match=FilterChainMatch(destination_port={"value": port}),
        filters=[tcp_proxy(names.BLACK_HOLE)],
    )
    yield FilterChain(name=f"{names.VIRTUAL_OUTBOUND}-catchall-tcp", filters=[catch_all(view)])
