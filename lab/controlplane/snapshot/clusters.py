"""Clusters: where connections go, and how. Outbound per service port and subset, inbound per own port."""

from collections.abc import Iterable, Iterator
from typing import Final

from envoy.config.cluster.v3 import circuit_breaker_pb2
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3 import address_pb2, base_pb2, config_source_pb2, extension_pb2, protocol_pb2
from envoy.extensions.network.dns_resolver.cares.v3 import cares_dns_resolver_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2

from lab.controlplane.kinds.routing import Subset
from lab.controlplane.kinds.service_entry import Resolution, ServicePort
from lab.controlplane.registry import Service
from lab.controlplane.snapshot import names, tls
from lab.controlplane.snapshot.endpoints import assignment
from lab.controlplane.snapshot.packing import pack, seconds, struct
from lab.controlplane.snapshot.view import OwnPort, Seen, View

CONNECT_TIMEOUT: Final = 10
"""Seconds; MeshConfig.connectTimeout's default."""
_NO_LIMIT: Final = 2**32 - 1
"""Istio sets no circuit breaker unless asked; Envoy's own defaults (1024) would be one."""
_IDLE: Final = 300
"""Seconds an unused upstream connection of a passthrough is kept."""
_DNS_REFRESH: Final = 60
"""Seconds between resolutions where the answer's own TTL does not say otherwise."""
_DNS_JITTER: Final = 0.1
"""Seconds; spreads the queries of many clusters that were created together."""
_DNS_QUERIES: Final = 100
"""Queries c-ares sends over one socket before it takes a new one, and with it a new source port."""
_NEVER: Final = 9223372035
"""Seconds, the longest Envoy takes: an original destination's host must not be cleaned up, it is always the
same."""
_HTTP_OPTIONS: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def clusters(view: View) -> Iterator[Cluster]:
    for seen, port in view.ports():
        yield _outbound(view, seen, port)
        for subset in seen.rule.subsets if seen.rule else ():
            yield _outbound(view, seen, port, subset)
    yield _black_hole()
    yield _passthrough(names.PASSTHROUGH)
    for own in view.own:
        yield _inbound(own)
    passthrough = _passthrough(names.INBOUND_PASSTHROUGH)
    passthrough.upstream_bind_config.CopyFrom(_from_inbound_source())
    yield passthrough


def _outbound(view: View, seen: Seen, port: ServicePort, subset: Subset | None = None) -> Cluster:
    part = subset.name if subset else ""
    name = names.outbound(port.number, seen.host, part)
    cluster = Cluster(
        name=name,
        alt_stat_name=f"{name};",
        connect_timeout=seconds(CONNECT_TIMEOUT),
        lb_policy=Cluster.LEAST_REQUEST,
        circuit_breakers=_no_limits(),
        common_lb_config=Cluster.CommonLbConfig(),
        metadata=_metadata(seen, part),
    )
    match seen.service.resolution:
        case Resolution.STATIC:
            _discover_endpoints(cluster)
        case Resolution.DNS:
            _resolve(cluster, view, seen, port, subset)
        case Resolution.NONE:
            cluster.type = Cluster.ORIGINAL_DST
            cluster.lb_policy = Cluster.CLUSTER_PROVIDED
    if port.protocol.http2:
        cluster.typed_extension_protocol_options[_HTTP_OPTIONS].CopyFrom(pack(_only_http2()))
    if not seen.service.entry.external:
        peers = _peers(view.mesh.trust_domain, seen)
        cluster.transport_socket_matches.extend(
            tls.by_endpoint(sni=names.sni(port.number, seen.host, part), peers=peers)
        )
    return cluster


def _peers(trust_domain: str, seen: Seen) -> list[str]:
    """Who may answer, in any subset: all who serve it, healthy or not, and whom the document names."""
    accounts = {each.service_account for each in seen.instances if each.service_account}
    return sorted(
        {names.spiffe(trust_domain, account) for account in accounts}
        | set(seen.service.entry.subject_alt_names)
    )


def _discover_endpoints(cluster: Cluster) -> None:
    cluster.type = Cluster.EDS
    cluster.eds_cluster_config.CopyFrom(
        Cluster.EdsClusterConfig(
            service_name=cluster.name,
            eds_config=config_source_pb2.ConfigSource(
                ads=config_source_pb2.AggregatedConfigSource(),
                initial_fetch_timeout=seconds(0),
                resource_api_version=config_source_pb2.V3,
            ),
        )
    )


def _resolve(cluster: Cluster, view: View, seen: Seen, port: ServicePort, subset: Subset | None) -> None:
    cluster.type = Cluster.STRICT_DNS
    cluster.dns_lookup_family = Cluster.V4_ONLY
    cluster.dns_refresh_rate.CopyFrom(seconds(_DNS_REFRESH))
    cluster.dns_jitter.CopyFrom(seconds(_DNS_JITTER))
    cluster.respect_dns_ttl = True
    cluster.typed_dns_resolver_config.CopyFrom(
        extension_pb2.TypedExtensionConfig(
            name="envoy.network.dns_resolver.cares",
            typed_config=pack(
                cares_dns_resolver_pb2.CaresDnsResolverConfig(udp_max_queries={"value": _DNS_QUERIES})
            ),
        )
    )
    cluster.load_assignment.CopyFrom(assignment(view, seen, port, subset))


def _black_hole() -> Cluster:
    """Without endpoints: what is sent there ends."""
    return Cluster(
        name=names.BLACK_HOLE,
        alt_stat_name=f"{names.BLACK_HOLE};",
        type=Cluster.STATIC,
        connect_timeout=seconds(CONNECT_TIMEOUT),
    )


def _passthrough(name: str) -> Cluster:
    """To wherever the application meant, in whatever HTTP version it speaks."""
    options = http_protocol_options_pb2.HttpProtocolOptions(
        common_http_protocol_options=protocol_pb2.HttpProtocolOptions(idle_timeout=seconds(_IDLE)),
        use_downstream_protocol_config=http_protocol_options_pb2.HttpProtocolOptions.UseDownstreamHttpConfig(
            http_protocol_options=protocol_pb2.Http1ProtocolOptions(),
            http2_protocol_options=protocol_pb2.Http2ProtocolOptions(),
        ),
    )
    return Cluster(
        name=name,
        # istiod counts both directions under one name.
        alt_stat_name=f"{names.PASSTHROUGH};",
        type=Cluster.ORIGINAL_DST,
        lb_policy=Cluster.CLUSTER_PROVIDED,
        connect_timeout=seconds(CONNECT_TIMEOUT),
        circuit_breakers=_no_limits(),
        typed_extension_protocol_options={_HTTP_OPTIONS: pack(options)},
    )


def _inbound(own: OwnPort) -> Cluster:
    name = names.inbound(own.number)
    cluster = Cluster(
        name=name,
        alt_stat_name=f"{name};",
        type=Cluster.ORIGINAL_DST,
        lb_policy=Cluster.CLUSTER_PROVIDED,
        connect_timeout=seconds(CONNECT_TIMEOUT),
        cleanup_interval=seconds(_NEVER),
        circuit_breakers=_no_limits(),
        common_lb_config=Cluster.CommonLbConfig(),
        upstream_bind_config=_from_inbound_source(),
        metadata=_istio({"services": _services(service for service, _ in own.services)}),
    )
    if own.protocol.http2:
        cluster.typed_extension_protocol_options[_HTTP_OPTIONS].CopyFrom(pack(_only_http2()))
    return cluster


def _metadata(seen: Seen, subset: str) -> base_pb2.Metadata:
    said: dict[str, object] = {"services": _services([seen.service])}
    if subset:
        said["subset"] = subset
    if seen.service.entry.external:
        said["external"] = True
    if seen.rule:
        rule = seen.rule.metadata
        said["config"] = names.configuration("destination-rule", rule.namespace, rule.name)
    return _istio(said)


def _services(services: Iterable[Service]) -> list[dict[str, str]]:
    return [{"host": each.host, "name": each.host, "namespace": each.namespace} for each in services]


def _istio(said: dict[str, object]) -> base_pb2.Metadata:
    return base_pb2.Metadata(filter_metadata={"istio": struct(said)})


def _only_http2() -> http_protocol_options_pb2.HttpProtocolOptions:
    explicit = http_protocol_options_pb2.HttpProtocolOptions.ExplicitHttpConfig(
        http2_protocol_options=protocol_pb2.Http2ProtocolOptions()
    )
    return http_protocol_options_pb2.HttpProtocolOptions(explicit_http_config=explicit)


def _no_limits() -> circuit_breaker_pb2.CircuitBreakers:
    limit = {"value": _NO_LIMIT}
    return circuit_breaker_pb2.CircuitBreakers(
        thresholds=[
            circuit_breaker_pb2.CircuitBreakers.Thresholds(
                max_connections=limit, max_pending_requests=limit, max_requests=limit, max_retries=limit
            )
        ]
    )


def _from_inbound_source() -> address_pb2.BindConfig:
    return address_pb2.BindConfig(source_address={"address": names.INBOUND_SOURCE, "port_value": 0})
