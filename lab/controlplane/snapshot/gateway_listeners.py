"""Listeners of a router: real sockets, one per port of the Gateways that mean it."""

from collections.abc import Iterator, Sequence

from envoy.config.core.v3 import base_pb2
from envoy.config.listener.v3.listener_pb2 import Listener

from lab.controlplane.hosts import common
from lab.controlplane.kinds.virtual_service import ConnectionMatch, ConnectionRoute, VirtualService
from lab.controlplane.snapshot import names, tls
from lab.controlplane.snapshot.chains import Chain, distinct, inspectors, socket_address
from lab.controlplane.snapshot.families import also_at
from lab.controlplane.snapshot.gateways import Opened, opened
from lab.controlplane.snapshot.http import gateway_http
from lab.controlplane.snapshot.network_filters import Arrival, to_route
from lab.controlplane.snapshot.outbound import CONNECTION_BATCH
from lab.controlplane.snapshot.view import View
from lab.controlplane.snapshot.virtual_services import for_gateway


def gateway_listeners(view: View) -> Iterator[Listener]:
    for (port, bind), servers in opened(view).items():
        address, *others = (bind,) if bind else view.families.wildcards
        chains = distinct(_chains(view, servers, address))
        if chains:
            listener = Listener(
                name=names.listener(address, port),
                address=socket_address(address, port),
                filter_chains=[each.built() for each in chains],
                listener_filters=[each for each in inspectors(chains) if "tls" in each.name],
                traffic_direction=base_pb2.OUTBOUND,
                max_connections_to_accept_per_socket_event={"value": CONNECTION_BATCH},
            )
            yield also_at(listener, others)


def _chains(view: View, servers: Sequence[Opened], address: str) -> Iterator[Chain]:
    if servers[0].server.protocol.http:
        yield _http(view, servers[0], address)
        return
    for each in servers:
        if each.ends_https:
            yield _http(view, each, address)
        elif each.server.tls is not None and each.server.tls.mode == "PASSTHROUGH":
            yield from _passed_on(view, each)
        else:
            yield from _connections(view, each)


def _http(view: View, server: Opened, address: str) -> Chain:
    prefix = server.server.name if server.ends_https else ""
    manager = gateway_http(
        view.proxy,
        stat_prefix=prefix or f"outbound_{names.listener(address, server.port)};",
        route_name=server.route_name,
        protocol=server.server.protocol,
    )
    if not server.ends_https or server.server.tls is None:
        return Chain(filters=(manager,))
    return Chain(
        sni=server.hosts,
        filters=(manager,),
        tls=tls.gateway_termination(server.server.tls, http=True),
        offers_alpn=True,
    )


def _connections(view: View, server: Opened) -> Iterator[Chain]:
    """Plain bytes, or TLS that ends here: to the first VirtualService that has a TCP route for it."""
    for service in for_gateway(view.virtual_services, server.gateway):
        if not _meets(server, service):
            continue
        for route in service.tcp:
            if not route.matches or any(_fits(each, server) for each in route.matches):
                filters = to_route(view, route.route, _arrival(server), service.metadata)
                settings = server.server.tls
                if settings is None:
                    yield Chain(filters=filters)
                else:
                    socket = tls.gateway_termination(settings, http=False)
                    yield Chain(sni=server.hosts, filters=filters, tls=socket, offers_alpn=True)
                return


def _passed_on(view: View, server: Opened) -> Iterator[Chain]:
    """TLS that is not ended here: by the name its client asks for."""
    taken: set[str] = set()
    for service in for_gateway(view.virtual_services, server.gateway):
        if not _meets(server, service):
            continue
        for route, match in _matches(service.tls):
            if _fits(match, server) and taken.isdisjoint(match.sni_hosts):
                taken.update(match.sni_hosts)
                filters = to_route(view, route.route, _arrival(server), service.metadata)
                yield Chain(sni=match.sni_hosts, filters=filters)


def _matches(routes: Sequence[ConnectionRoute]) -> Iterator[tuple[ConnectionRoute, ConnectionMatch]]:
    return ((route, match) for route in routes for match in route.matches)


def _meets(server: Opened, service: VirtualService) -> bool:
    return bool(common(server.hosts_for(service.metadata.namespace), service.hosts))


def _fits(match: ConnectionMatch, server: Opened) -> bool:
    return match.port in (0, server.server.number) and (
        not match.gateways or server.gateway in match.gateways
    )


def _arrival(server: Opened) -> Arrival:
    return Arrival(number=server.server.number, protocol=server.server.protocol)
