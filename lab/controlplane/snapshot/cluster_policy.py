"""What a DestinationRule, and what the mesh knows of a service, change in a cluster: limits, choice of
endpoints, TLS.

Does not:  make the cluster (clusters.py) or choose the rule (rules.py).
"""

from dataclasses import dataclass
from typing import Final

from envoy.config.cluster.v3 import circuit_breaker_pb2, outlier_detection_pb2
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions

from lab.controlplane.kinds.destination_rule import (
    ClientTls,
    ConnectionPool,
    OutlierDetection,
    TrafficPolicy,
)
from lab.controlplane.kinds.load_balancer import ConsistentHash, LoadBalancer
from lab.controlplane.kinds.service_entry import Resolution, ServicePort
from lab.controlplane.snapshot import names, tls
from lab.controlplane.snapshot.authentication import DISABLE
from lab.controlplane.snapshot.locality import weighted
from lab.controlplane.snapshot.packing import seconds
from lab.controlplane.snapshot.view import Seen, View
from lab.controlplane.workloads import DISABLED

_NO_LIMIT: Final = 2**32 - 1
"""Istio sets no circuit breaker unless asked; Envoy's own defaults (1024) would be one."""
_RING: Final = 1024
"""Envoy's own default, which istiod writes down."""
_POLICIES: Final = {
    "RANDOM": Cluster.RANDOM,
    "ROUND_ROBIN": Cluster.ROUND_ROBIN,
    "LEAST_REQUEST": Cluster.LEAST_REQUEST,
    "LEAST_CONN": Cluster.LEAST_REQUEST,
    "UNSPECIFIED": Cluster.LEAST_REQUEST,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    view: View
    seen: Seen
    port: ServicePort
    subset: str
    policy: TrafficPolicy


def govern(cluster: Cluster, options: HttpProtocolOptions, wanted: Wanted) -> None:
    policy = wanted.policy
    _limit(cluster, options, policy.connection_pool, wanted.view.mesh.connect_timeout)
    pool = policy.connection_pool
    if pool and pool.upgrade == "UPGRADE":
        options.explicit_http_config.http2_protocol_options.SetInParent()
    if policy.outlier:
        _eject(cluster, policy.outlier)
    if weighted(policy):
        cluster.common_lb_config.locality_weighted_lb_config.SetInParent()
    _balance(cluster, policy.load_balancer)
    _secure(cluster, options, wanted)


def govern_inbound(cluster: Cluster, options: HttpProtocolOptions, view: View, policy: TrafficPolicy) -> None:
    """What arrives has one endpoint: only limits count."""
    _limit(cluster, options, policy.connection_pool, view.mesh.connect_timeout)


def no_limits() -> circuit_breaker_pb2.CircuitBreakers:
    return _breakers(ConnectionPool())


def _breakers(pool: ConnectionPool) -> circuit_breaker_pb2.CircuitBreakers:
    return circuit_breaker_pb2.CircuitBreakers(
        thresholds=[
            circuit_breaker_pb2.CircuitBreakers.Thresholds(
                max_connections={"value": pool.max_connections or _NO_LIMIT},
                max_pending_requests={"value": pool.pending_requests or _NO_LIMIT},
                max_requests={"value": pool.requests or _NO_LIMIT},
                max_retries={"value": pool.retries or _NO_LIMIT},
            )
        ]
    )


def _limit(
    cluster: Cluster, options: HttpProtocolOptions, pool: ConnectionPool | None, connect_timeout: float
) -> None:
    pool = pool or ConnectionPool()
    cluster.connect_timeout.CopyFrom(seconds(pool.connect_timeout or connect_timeout))
    cluster.circuit_breakers.CopyFrom(_breakers(pool))
    if pool.keepalive is not None:
        keepalive = cluster.upstream_connection_options.tcp_keepalive
        keepalive.SetInParent()
        for field, value in (
            (keepalive.keepalive_probes, pool.keepalive.probes),
            (keepalive.keepalive_time, pool.keepalive.time),
            (keepalive.keepalive_interval, pool.keepalive.interval),
        ):
            if value:
                field.value = int(value)
    common = options.common_http_protocol_options
    idle = pool.http_idle_timeout or pool.tcp_idle_timeout
    if idle or pool.max_duration or pool.requests_per_connection or pool.concurrent_streams:
        common.SetInParent()
    if idle:
        common.idle_timeout.CopyFrom(seconds(idle))
    if pool.requests_per_connection:
        common.max_requests_per_connection.value = pool.requests_per_connection
    if pool.max_duration:
        common.max_connection_duration.CopyFrom(seconds(pool.max_duration))
    if pool.concurrent_streams and options.explicit_http_config.HasField("http2_protocol_options"):
        options.explicit_http_config.http2_protocol_options.max_concurrent_streams.value = (
            pool.concurrent_streams
        )
    if pool.client_protocol:
        as_it_comes = options.use_downstream_protocol_config
        as_it_comes.http_protocol_options.SetInParent()
        as_it_comes.http2_protocol_options.SetInParent()


def _eject(cluster: Cluster, outlier: OutlierDetection) -> None:
    made = outlier_detection_pb2.OutlierDetection(enforcing_success_rate={"value": 0})
    for count, limit, enforcing in (
        (outlier.consecutive_5xx, made.consecutive_5xx, made.enforcing_consecutive_5xx),
        (
            outlier.gateway_errors,
            made.consecutive_gateway_failure,
            made.enforcing_consecutive_gateway_failure,
        ),
    ):
        if count is not None:
            limit.value = count
            enforcing.value = 100 if count else 0
    if outlier.interval:
        made.interval.CopyFrom(seconds(outlier.interval))
    if outlier.base_ejection_time:
        made.base_ejection_time.CopyFrom(seconds(outlier.base_ejection_time))
    if outlier.max_ejection_percent:
        made.max_ejection_percent.value = outlier.max_ejection_percent
    if outlier.split_local_errors:
        made.split_external_local_origin_errors = True
        if outlier.local_origin_failures:
            made.consecutive_local_origin_failure.value = outlier.local_origin_failures
            made.enforcing_consecutive_local_origin_failure.value = 100
        made.enforcing_local_origin_success_rate.value = 0
    cluster.outlier_detection.CopyFrom(made)
    # Written even where it is 0: Envoy's own default would send to ejected endpoints when half of them are.
    cluster.common_lb_config.healthy_panic_threshold.value = outlier.min_health_percent


def _balance(cluster: Cluster, balancer: LoadBalancer | None) -> None:
    balancer = balancer or LoadBalancer()
    if cluster.type == Cluster.ORIGINAL_DST or balancer.simple == "PASSTHROUGH":
        cluster.type = Cluster.ORIGINAL_DST
        cluster.lb_policy = Cluster.CLUSTER_PROVIDED
        cluster.ClearField("load_assignment")
        return
    cluster.lb_policy = _POLICIES[balancer.simple]
    if balancer.hash:
        _hash(cluster, balancer.hash)


def _hash(cluster: Cluster, hash_: ConsistentHash) -> None:
    if hash_.algorithm == "maglev":
        cluster.lb_policy = Cluster.MAGLEV
        if hash_.table_size:
            cluster.maglev_lb_config.table_size.value = hash_.table_size
        return
    cluster.lb_policy = Cluster.RING_HASH
    if hash_.ring_size or hash_.algorithm != "ringHash":
        cluster.ring_hash_lb_config.minimum_ring_size.value = hash_.ring_size or _RING


def _secure(cluster: Cluster, options: HttpProtocolOptions, wanted: Wanted) -> None:
    """What a rule demands, else the mesh's own TLS where both ends can."""
    asked = wanted.policy.tls
    http2 = options.explicit_http_config.HasField("http2_protocol_options")
    if asked is not None and asked.mode == "DISABLE":
        return
    if asked is not None and asked.mode != "ISTIO_MUTUAL":
        _with_files(cluster, options, wanted, asked, http2=http2)
        return
    if asked is None and not _both_can(wanted):
        return
    sni = names.sni(wanted.port.number, wanted.seen.host, wanted.subset)
    peers = _peers(wanted)
    if asked is not None:
        sni, peers = asked.sni or sni, list(asked.subject_alt_names) or peers
    socket = tls.with_mesh_identity(sni=sni, peers=peers, http2=http2)
    if asked is None and cluster.type != Cluster.ORIGINAL_DST:
        cluster.transport_socket_matches.extend(tls.by_endpoint(socket))
    else:
        cluster.transport_socket.CopyFrom(socket)


def _with_files(
    cluster: Cluster, options: HttpProtocolOptions, wanted: Wanted, asked: ClientTls, *, http2: bool
) -> None:
    cluster.metadata.filter_metadata["istio"].update({"alpn_override": "false"})
    rule = wanted.seen.rule
    if asked.credential and not wanted.view.router and rule and rule.selector is None:
        return  # every sidecar would wait for a Secret that few may read
    peers = list(asked.subject_alt_names)
    if not peers and not wanted.seen.service.kubernetes:
        peers = _peers(wanted)
    cluster.transport_socket.CopyFrom(tls.with_files(asked, peers=peers, http2=http2))
    if not asked.sni:
        options.upstream_http_protocol_options.auto_sni = True
        if not asked.subject_alt_names and not asked.skip_verify:
            options.upstream_http_protocol_options.auto_san_validation = True


def _both_can(wanted: Wanted) -> bool:
    """Whether to try: not to what is outside, not where the namespace forbids it, and to an original
    destination, of which Envoy knows nothing, only if all who stand behind it can."""
    view, seen = wanted.view, wanted.seen
    if seen.service.external or not view.mesh.auto_mtls:
        return False
    balancer = wanted.policy.load_balancer
    passes = seen.service.resolution is Resolution.NONE or (balancer and balancer.simple == "PASSTHROUGH")
    if passes and (not seen.instances or any(each.tls_mode == DISABLED for each in seen.instances)):
        return False
    return view.policies.of_namespace(seen.service.namespace) != DISABLE


def _peers(wanted: Wanted) -> list[str]:
    """Who may answer, in any subset: all who serve it, healthy or not, and whom the document names."""
    seen = wanted.seen
    accounts = {each.account for each in seen.instances if each.account is not None}
    return sorted(
        {names.spiffe(wanted.view.mesh.trust_domain, account) for account in accounts}
        | set(seen.service.subject_alt_names)
    )
