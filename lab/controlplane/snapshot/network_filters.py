"""The filters a plain connection passes: a protocol's own statistics, and the proxy that sends it on."""

from collections.abc import Sequence
from dataclasses import dataclass

from envoy.config.listener.v3.listener_components_pb2 import Filter
from envoy.extensions.filters.network.mongo_proxy.v3 import mongo_proxy_pb2
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy

from lab.controlplane.kinds.destination import Destination, WeightedDestination
from lab.controlplane.kinds.destination_rule import DestinationRule
from lab.controlplane.kinds.metadata import Metadata
from lab.controlplane.kinds.protocol import Protocol
from lab.controlplane.snapshot import names
from lab.controlplane.snapshot.packing import pack, seconds
from lab.controlplane.snapshot.view import View


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """The port a connection comes to."""

    number: int
    protocol: Protocol


def tcp_proxy(cluster: str) -> Filter:
    return _filter("tcp_proxy", TcpProxy(stat_prefix=cluster, cluster=cluster))


def catch_all(view: View) -> Filter:
    """What becomes of connections the mesh does not know."""
    return tcp_proxy(names.PASSTHROUGH if view.mesh.allow_any else names.BLACK_HOLE)


def to_application(cluster: str, arrival: Arrival) -> tuple[Filter, ...]:
    """What arrives for a port of the proxy's own workload."""
    return _stack(TcpProxy(stat_prefix=cluster, cluster=cluster), arrival)


def to_service(
    cluster: str, rule: DestinationRule | None, arrival: Arrival, subset: str = ""
) -> tuple[Filter, ...]:
    proxy = TcpProxy(stat_prefix=cluster, cluster=cluster)
    _govern(proxy, rule, subset)
    return _stack(proxy, arrival)


def to_route(
    view: View, route: Sequence[WeightedDestination], arrival: Arrival, about: Metadata
) -> tuple[Filter, ...]:
    """Of a VirtualService. What a rule says about connections is taken from the first destination's."""
    first = view.by_host.get(route[0].destination.host)
    rule = first.rule if first else None
    if len(route) == 1:
        only = route[0].destination
        return to_service(destination_cluster(view, only, arrival.number), rule, arrival, only.subset)
    proxy = TcpProxy(stat_prefix=f"{about.name}.{about.namespace}")
    for each in route:
        if each.weight:
            proxy.weighted_clusters.clusters.add(
                name=destination_cluster(view, each.destination, arrival.number), weight=each.weight
            )
    _govern(proxy, rule, "")
    return _stack(proxy, arrival)


def destination_cluster(view: View, to: Destination, port: int) -> str:
    """The port that is written, else the service's only one, else the port of the request."""
    seen = view.by_host.get(to.host)
    if to.port:
        port = to.port
    elif seen and len(seen.service.ports) == 1:
        port = seen.service.ports[0].number
    return names.outbound(port, to.host, to.subset)


def _govern(proxy: TcpProxy, rule: DestinationRule | None, subset: str) -> None:
    policy = rule.policy if rule else None
    pool = policy.connection_pool if policy else None
    if pool and pool.tcp_idle_timeout:
        proxy.idle_timeout.CopyFrom(seconds(pool.tcp_idle_timeout))
    if pool and pool.max_duration:
        proxy.max_downstream_connection_duration.CopyFrom(seconds(pool.max_duration))
    if rule and _by_source(rule, subset):
        proxy.hash_policy.add().source_ip.SetInParent()


def _by_source(rule: DestinationRule, subset: str) -> bool:
    balancer = rule.policy.load_balancer if rule.policy else None
    for each in rule.subsets:
        if each.name == subset and each.policy and each.policy.load_balancer:
            balancer = each.policy.load_balancer
    return bool(balancer and balancer.hash and balancer.hash.source_ip)


def _stack(proxy: TcpProxy, arrival: Arrival) -> tuple[Filter, ...]:
    last = _filter("tcp_proxy", proxy)
    if arrival.protocol is Protocol.MONGO:
        return _filter("mongo_proxy", mongo_proxy_pb2.MongoProxy(stat_prefix=proxy.stat_prefix)), last
    return (last,)


def _filter(name: str, config: TcpProxy | mongo_proxy_pb2.MongoProxy) -> Filter:
    return Filter(name=f"envoy.filters.network.{name}", typed_config=pack(config))
