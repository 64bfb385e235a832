"""The inbound listener: one socket for everything that arrives, chains chosen by port, protocol and TLS.

Surprise:  both TLS and plain text are taken on every port unless a PeerAuthentication says otherwise
           (PERMISSIVE, Istio's default): a client without a sidecar still gets through. A mesh peer is told
           apart by the ALPN names only the mesh uses.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from envoy.config.core.v3 import base_pb2
from envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain, ListenerFilter
from envoy.config.listener.v3.listener_components_pb2 import FilterChainMatch as Match
from envoy.config.listener.v3.listener_components_pb2 import (
    ListenerFilterChainMatchPredicate as Predicate,
)
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.extensions.filters.listener.original_dst.v3 import original_dst_pb2

from lab.controlplane.kinds.protocol import Protocol
from lab.controlplane.snapshot import names, tls
from lab.controlplane.snapshot.authentication import PERMISSIVE, STRICT
from lab.controlplane.snapshot.chains import (
    PLAIN,
    PLAIN_HTTP,
    TLS,
    http_inspector,
    socket_address,
    tls_inspector,
)
from lab.controlplane.snapshot.families import also_at
from lab.controlplane.snapshot.http import inbound_http
from lab.controlplane.snapshot.network_filters import Arrival, tcp_proxy, to_application
from lab.controlplane.snapshot.outbound import CONNECTION_BATCH
from lab.controlplane.snapshot.packing import pack, seconds
from lab.controlplane.snapshot.routes import inbound_routes
from lab.controlplane.snapshot.view import OwnPort, View


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taken:
    """One way in: what the first bytes must look like, and what they are taken for."""

    transport: str
    protocols: tuple[str, ...] = ()
    http: bool = False
    mutual: bool = False
    """Ends the mesh's TLS."""


_MESH: Final = (tls.MESH_TCP, *tls.MESH_HTTP)

_PERMISSIVE: Final = {
    "http": (
        _Taken(transport=TLS, protocols=_MESH, http=True, mutual=True),
        _Taken(transport=PLAIN, http=True),
    ),
    "bytes": (
        _Taken(transport=TLS, protocols=_MESH, mutual=True),
        _Taken(transport=PLAIN),
        # TLS of somebody else: the application's own, not ours to end.
        _Taken(transport=TLS),
    ),
    "found out": (
        _Taken(transport=TLS, protocols=tls.MESH_HTTP, http=True, mutual=True),
        _Taken(transport=PLAIN, protocols=PLAIN_HTTP, http=True),
        _Taken(transport=TLS, protocols=(tls.MESH_TCP,), mutual=True),
        _Taken(transport=PLAIN),
        _Taken(transport=TLS),
    ),
}
_STRICT: Final = {
    "http": (_Taken(transport=TLS, http=True, mutual=True),),
    "bytes": (_Taken(transport=TLS, mutual=True),),
    "found out": (
        _Taken(transport=TLS, protocols=tls.MESH_HTTP, http=True, mutual=True),
        _Taken(transport=TLS, mutual=True),
    ),
}
_DISABLE: Final = {
    "http": (_Taken(transport=PLAIN, http=True),),
    "bytes": (_Taken(transport=PLAIN),),
    "found out": (
        _Taken(transport=PLAIN, protocols=PLAIN_HTTP, http=True),
        _Taken(transport=PLAIN),
    ),
}


def inbound_listener(view: View) -> Listener:
    chains = [
        _black_hole(),
        *_catch_all(view),
        *(chain for own in view.own for chain in _own(view, own)),
    ]
    first, *others = view.families.wildcards
    listener = Listener(
        name=names.VIRTUAL_INBOUND,
        address=socket_address(first, names.INBOUND_PORT),
        filter_chains=chains,
        listener_filters=_listener_filters(chains),
        listener_filters_timeout=seconds(view.mesh.detection_timeout),
        continue_on_listener_filters_timeout=True,
        traffic_direction=base_pb2.INBOUND,
        max_connections_to_accept_per_socket_event={"value": CONNECTION_BATCH},
    )
    return also_at(listener, others)


def _ways(mode: str, protocol: Protocol) -> tuple[_Taken, ...]:
    kind = "http" if protocol.http else "found out" if protocol is Protocol.AUTO else "bytes"
    return (_PERMISSIVE if mode == PERMISSIVE else _STRICT if mode == STRICT else _DISABLE)[kind]


def _black_hole() -> FilterChain:
    """Sent to 15006 itself: handing it on would be a loop."""
    return FilterChain(
        name=f"{names.VIRTUAL_INBOUND}-blackhole",
        filter_chain_match=Match(destination_port={"value": names.INBOUND_PORT}),
        filters=[tcp_proxy(names.BLACK_HOLE)],
    )


def _catch_all(view: View) -> Iterator[FilterChain]:
    """Ports that no service names: HTTP where it can be recognised, bytes otherwise. A port that has a mode
    of its own has chains of its own."""
    http = _http_end(
        view,
        stat_prefix=f"{names.INBOUND_PASSTHROUGH};",
        cluster=names.INBOUND_PASSTHROUGH,
        port=0,
        host="",
        protocol=Protocol.AUTO,
    )
    served = {own.number for own in view.own}
    for port in (0, *(each for each in view.modes.ports if each not in served)):
        for taken in _ways(view.modes.of(port), Protocol.AUTO):
            name = f"{names.VIRTUAL_INBOUND}-catchall-http" if taken.http else names.VIRTUAL_INBOUND
            end = http if taken.http else tcp_proxy(names.INBOUND_PASSTHROUGH)
            yield _chain(view, name, port, taken, (end,))


def _own(view: View, own: OwnPort) -> Iterator[FilterChain]:
    name, cluster = names.listener(view.families.wildcards[0], own.number), names.inbound(own.number)
    service, port = own.services[0]
    for taken in _ways(view.modes.of(own.number), own.protocol):
        ends = to_application(cluster, Arrival(number=own.number, protocol=own.protocol))
        if taken.http:
            end = _http_end(
                view,
                stat_prefix=f"inbound_{name};",
                cluster=cluster,
                port=port.number,
                host=service.host,
                protocol=own.protocol,
            )
            ends = (end,)
        yield _chain(view, name, own.number, taken, ends)


def _http_end(
    view: View, *, stat_prefix: str, cluster: str, port: int, host: str, protocol: Protocol
) -> Filter:
    routes = inbound_routes(name=cluster, port=port, cluster=cluster, operation=names.operation(host, port))
    return inbound_http(view.proxy, stat_prefix=stat_prefix, routes=routes, protocol=protocol)


def _chain(view: View, name: str, port: int, taken: _Taken, ends: tuple[Filter, ...]) -> FilterChain:
    match = Match(transport_protocol=taken.transport, application_protocols=taken.protocols)
    if port:
        match.destination_port.value = port
    chain = FilterChain(name=name, filter_chain_match=match, filters=ends)
    if taken.mutual:
        chain.transport_socket.CopyFrom(tls.termination(view.mesh.trust_domain))
    return chain


def _listener_filters(chains: Iterable[FilterChain]) -> list[ListenerFilter]:
    """Reading ahead to guess is switched off on ports where the answer is known or does not matter, or on
    only where it does."""
    tls_ports: dict[int, bool] = {}
    http_ports: dict[int, bool] = {}
    for chain in chains:
        match = chain.filter_chain_match
        port = match.destination_port.value
        tls_ports[port] = tls_ports.get(port, False) or match.transport_protocol == TLS
        http_ports[port] = http_ports.get(port, False) or bool(
            set(match.application_protocols) & set(PLAIN_HTTP)
        )
    original_dst = ListenerFilter(
        name="envoy.filters.listener.original_dst", typed_config=pack(original_dst_pb2.OriginalDst())
    )
    needed = [
        _on_ports(filter_, ports)
        for filter_, ports in ((tls_inspector(), tls_ports), (http_inspector(), http_ports))
        if any(ports.values())
    ]
    return [original_dst, *needed]


def _on_ports(filter_: ListenerFilter, ports: dict[int, bool]) -> ListenerFilter:
    """Port 0 stands for all that have no chains of their own."""
    by_default = ports.get(0, False)
    exceptions = sorted(port for port, needed in ports.items() if port and needed is not by_default)
    if exceptions:
        predicate = _any_of(exceptions)
        filter_.filter_disabled.CopyFrom(predicate if by_default else Predicate(not_match=predicate))
    return filter_


def _any_of(ports: list[int]) -> Predicate:
    rules = [Predicate(destination_port_range={"start": port, "end": port + 1}) for port in ports]
    return rules[0] if len(rules) == 1 else Predicate(or_match={"rules": rules})
