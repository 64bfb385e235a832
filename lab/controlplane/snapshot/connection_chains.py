"""Chains for the connections of a TCP or TLS port: what VirtualServices say about them, else the service
itself.

Does not:  decide which listener they end in (outbound.py).
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lab.controlplane.hosts import matches
from lab.controlplane.kinds.service_entry import ServicePort
from lab.controlplane.kinds.virtual_service import MESH_GATEWAY, ConnectionMatch, VirtualService
from lab.controlplane.proxy import Proxy
from lab.controlplane.snapshot import names
from lab.controlplane.snapshot.chains import Chain
from lab.controlplane.snapshot.metadata import configured_by
from lab.controlplane.snapshot.network_filters import Arrival, to_route, to_service
from lab.controlplane.snapshot.view import Seen, View


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """Where a port of a service is to be heard."""

    seen: Seen
    port: ServicePort
    address: str

    @property
    def ranges(self) -> tuple[str, ...]:
        """The service's own, where its address is a range."""
        return (self.seen.address,) if self.seen.is_range else ()

    @property
    def arrival(self) -> Arrival:
        return Arrival(number=self.port.number, protocol=self.port.protocol)


def connection_chains(view: View, bound: Bound) -> list[Chain]:
    governing = [
        each for each in view.for_sidecars if any(matches(host, bound.seen.host) for host in each.hosts)
    ]
    if bound.port.protocol.tls:
        return _tls(view, bound, governing)
    return _tcp(view, bound, governing)


def applies(match: ConnectionMatch, proxy: Proxy, gateway: str, port: int) -> bool:
    """What can be said of a match before a connection is there."""
    return (
        (not match.gateways or gateway in match.gateways)
        and all(proxy.labels.get(key) == value for key, value in match.source_labels.items())
        and match.port in (0, port)
        and match.source_namespace in ("", proxy.namespace)
    )


def _tls(view: View, bound: Bound, governing: Iterable[VirtualService]) -> list[Chain]:
    chains: list[Chain] = []
    handled: set[tuple[tuple[str, ...], tuple[str, ...]]] = set()
    ranges = bound.ranges
    for service in governing:
        for route in service.tls:
            for match in route.matches:
                if not applies(match, view.proxy, MESH_GATEWAY, bound.port.number):
                    continue
                # As istiod: the ranges of one match stay for those after it.
                ranges = match.subnets or ranges
                if (match.sni_hosts, match.subnets) not in handled:
                    handled.add((match.sni_hosts, match.subnets))
                    chains.append(
                        Chain(
                            sni=match.sni_hosts,
                            ranges=ranges,
                            filters=to_route(view, route.route, bound.arrival, service.metadata),
                            metadata=configured_by("virtual-service", service.metadata),
                        )
                    )
    return chains or [_itself(bound, sni=_names(bound))]


def _names(bound: Bound) -> tuple[str, ...]:
    """Only where connections of several services meet does the server's name tell them apart."""
    everywhere = bound.seen.everywhere and bound.address == names.ANY_ADDRESS
    return (bound.seen.host,) if bound.ranges or everywhere else ()


def _tcp(view: View, bound: Bound, governing: Iterable[VirtualService]) -> list[Chain]:
    chains = list(_governed_tcp(view, bound, governing))
    if any(sorted(each.ranges) == sorted(bound.ranges) for each in chains):
        return chains  # one takes whatever the service itself would
    return [*chains, _itself(bound)]


def _governed_tcp(view: View, bound: Bound, governing: Iterable[VirtualService]) -> Iterator[Chain]:
    for service in governing:
        for route in service.tcp:
            filters = to_route(view, route.route, bound.arrival, service.metadata)
            fitting = [
                each for each in route.matches if applies(each, view.proxy, MESH_GATEWAY, bound.port.number)
            ]
            if not route.matches or any(not each.subnets for each in fitting):
                yield Chain(
                    ranges=bound.ranges,
                    filters=filters,
                    metadata=configured_by("virtual-service", service.metadata),
                )
                return
            subnets = tuple(subnet for each in fitting for subnet in each.subnets)
            if subnets:
                yield Chain(ranges=subnets, filters=filters)


def _itself(bound: Bound, sni: tuple[str, ...] = ()) -> Chain:
    cluster = names.outbound(bound.port.number, bound.seen.host)
    return Chain(sni=sni, ranges=bound.ranges, filters=to_service(cluster, bound.seen.rule, bound.arrival))
