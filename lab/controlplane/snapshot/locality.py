"""Where endpoints are, and what it means to a client somewhere else: who comes first, and how much each gets.

Surprise:  shares are set whether or not failing endpoints are noticed; priorities only where they are, since
           Envoy would never use the second one otherwise.
"""

import math
from typing import Final

from envoy.config.core.v3 import base_pb2
from envoy.config.endpoint.v3 import endpoint_pb2

from lab.controlplane.kinds.destination_rule import TrafficPolicy
from lab.controlplane.kinds.load_balancer import Localities
from lab.controlplane.proxy import Locality

_OTHER_REGION: Final = 3
"""Distance of endpoints outside the client's region."""
_LAST: Final = _OTHER_REGION + 1
"""Where a rule names another region to go to."""
_DEFAULT: Final = Localities()
"""The mesh's own."""


def setting_of(policy: TrafficPolicy) -> Localities:
    balancer = policy.load_balancer
    return (balancer.localities if balancer else None) or _DEFAULT


def weighted(policy: TrafficPolicy) -> bool:
    """Whether localities share requests by their weights."""
    setting = setting_of(policy)
    chosen = setting.distribute or (setting.failover and policy.outlier)
    return bool(setting.enabled and chosen)


def arrange(made: endpoint_pb2.ClusterLoadAssignment, policy: TrafficPolicy, own: Locality) -> None:
    """For a client there."""
    setting = setting_of(policy)
    if not setting.enabled:
        return
    if setting.distribute:
        _distribute(made, setting, own)
    elif policy.outlier:
        _fail_over(made, setting, own)


def _distribute(made: endpoint_pb2.ClusterLoadAssignment, setting: Localities, own: Locality) -> None:
    """The first rule for the client's locality counts. A locality that gets no share keeps its place without
    endpoints."""
    shares = next((to for where, to in setting.distribute if _matches(own, where)), None)
    if shares is None:
        return
    left = list(made.endpoints)
    for where, share in shares.items():
        meant = [each for each in left if _matches(each.locality, where)]
        left = [each for each in left if all(each is not other for other in meant)]
        total = sum(each.load_balancing_weight.value for each in meant)
        for group in meant:
            group.load_balancing_weight.value = math.ceil(group.load_balancing_weight.value * share / total)
    for group in left:
        group.ClearField("lb_endpoints")


def _fail_over(made: endpoint_pb2.ClusterLoadAssignment, setting: Localities, own: Locality) -> None:
    """Where failing endpoints are noticed, those nearer to the proxy are used first. Envoy wants no gap
    between priorities."""
    next_region = dict(reversed(setting.failover)).get(own.region)
    distances = [_distance(each.locality, own, next_region) for each in made.endpoints]
    ranks = {distance: rank for rank, distance in enumerate(sorted(set(distances)))}
    for group, distance in zip(made.endpoints, distances, strict=True):
        group.priority = ranks[distance]


def _distance(locality: base_pb2.Locality, own: Locality, next_region: str | None) -> int:
    pairs = ((locality.region, own.region), (locality.zone, own.zone), (locality.sub_zone, own.sub_zone))
    distance = next((_OTHER_REGION - depth for depth, pair in enumerate(pairs) if pair[0] != pair[1]), 0)
    other = distance == _OTHER_REGION and next_region not in (None, locality.region)
    return _LAST if other else distance


def _matches(locality: base_pb2.Locality | Locality, where: str) -> bool:
    region, zone, sub_zone = [*where.split("/"), "", ""][:3]
    return (
        region in ("*", locality.region)
        and zone in ("*", "", locality.zone)
        and sub_zone in ("*", "", locality.sub_zone)
    )
