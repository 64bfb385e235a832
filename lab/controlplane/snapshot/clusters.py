"""Clusters: where connections go, and how. Outbound per service port and subset, inbound per own port.

Does not:  say what a DestinationRule changes in one (cluster_policy.py).
"""

from collections.abc import Iterable, Iterator
from typing import Final

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3 import config_source_pb2, extension_pb2, protocol_pb2
from envoy.extensions.network.dns_resolver.cares.v3 import cares_dns_resolver_pb2
from envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions

from lab.controlplane.kinds.destination_rule import Subset
from lab.controlplane.kinds.protocol import Protocol
from lab.controlplane.kinds.service_entry import Resolution, ServicePort
from lab.controlplane.services import Service
from lab.controlplane.snapshot import names
from lab.controlplane.snapshot.cluster_policy import Wanted, govern, govern_inbound, no_limits
from lab.controlplane.snapshot.endpoints import assignment, discovered
from lab.controlplane.snapshot.metadata import istio
from lab.controlplane.snapshot.packing import pack, seconds
from lab.controlplane.snapshot.rules import of_port, of_subset
from lab.controlplane.snapshot.view import OwnPort, Seen, View

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
        for subset in (None, *(seen.rule.subsets if seen.rule else ())):
            cluster = _outbound(view, seen, port, subset)
            if cluster is not None:
                yield cluster
    yield _black_hole(view)
    if view.router:
        return
    yield _passthrough(view, names.PASSTHROUGH)
    for own in view.own:
        yield _inbound(view, own)
    passthrough = _passthrough(view, names.INBOUND_PASSTHROUGH)
    passthrough.upstream_bind_config.CopyFrom(view.families.inbound_source())
    yield passthrough


def _outbound(view: View, seen: Seen, port: ServicePort, subset: Subset | None) -> Cluster | None:
    """None for one that resolves names and has none to resolve: Envoy would not take it."""
    part = subset.name if subset else ""
    name = names.outbound(port.number, seen.host, part)
    cluster = Cluster(
        name=name,
        alt_stat_name=f"{name};",
        common_lb_config=Cluster.CommonLbConfig(),
        metadata=istio(_said(seen, part)),
    )
    if seen.service.resolution.by_name:
        _resolve(cluster, view, seen, port, subset)
        if not cluster.load_assignment.endpoints:
            return None
    elif discovered(view, seen):
        cluster.type = Cluster.EDS
    else:
        cluster.type = Cluster.ORIGINAL_DST
        if port.target and not seen.service.kubernetes:
            cluster.original_dst_lb_config.upstream_port_override.value = port.target
    wanted = Wanted(
        view=view, seen=seen, port=port, subset=part, policy=of_subset(seen.rule, subset, port.number)
    )
    options = _protocols(port.protocol, found_out=not view.router)
    govern(cluster, options, wanted)
    if cluster.type == Cluster.EDS:
        cluster.eds_cluster_config.CopyFrom(_by_ads(name))
    return _with_options(cluster, options)


def _by_ads(name: str) -> Cluster.EdsClusterConfig:
    return Cluster.EdsClusterConfig(
        service_name=name,
        eds_config=config_source_pb2.ConfigSource(
            ads=config_source_pb2.AggregatedConfigSource(),
            initial_fetch_timeout=seconds(0),
            resource_api_version=config_source_pb2.V3,
        ),
    )


def _resolve(cluster: Cluster, view: View, seen: Seen, port: ServicePort, subset: Subset | None) -> None:
    one = seen.service.resolution is Resolution.DNS_ROUND_ROBIN
    cluster.type = Cluster.LOGICAL_DNS if one else Cluster.STRICT_DNS
    cluster.dns_lookup_family = view.families.lookup
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


def _black_hole(view: View) -> Cluster:
    """Without endpoints: what is sent there ends."""
    return Cluster(
        name=names.BLACK_HOLE,
        alt_stat_name=f"{names.BLACK_HOLE};",
        type=Cluster.STATIC,
        connect_timeout=seconds(view.mesh.connect_timeout),
    )


def _passthrough(view: View, name: str) -> Cluster:
    """To wherever the application meant, in whatever HTTP version it speaks."""
    options = HttpProtocolOptions(
        common_http_protocol_options=protocol_pb2.HttpProtocolOptions(idle_timeout=seconds(_IDLE)),
        use_downstream_protocol_config=_AS_IT_COMES,
    )
    return Cluster(
        name=name,
        # istiod counts both directions under one name.
        alt_stat_name=f"{names.PASSTHROUGH};",
        type=Cluster.ORIGINAL_DST,
        lb_policy=Cluster.CLUSTER_PROVIDED,
        connect_timeout=seconds(view.mesh.connect_timeout),
        circuit_breakers=no_limits(),
        typed_extension_protocol_options={_HTTP_OPTIONS: pack(options)},
    )


def _inbound(view: View, own: OwnPort) -> Cluster:
    name = names.inbound(own.number)
    first, port = own.services[0]
    cluster = Cluster(
        name=name,
        alt_stat_name=f"{name};",
        type=Cluster.ORIGINAL_DST,
        lb_policy=Cluster.CLUSTER_PROVIDED,
        cleanup_interval=seconds(_NEVER),
        common_lb_config=Cluster.CommonLbConfig(),
        upstream_bind_config=view.families.inbound_source(),
    )
    if not first.external:
        same = {service.host: service for service, each in own.services if each.number == port.number}
        cluster.metadata.CopyFrom(istio({"services": _services(same.values())}))
    options = _protocols(own.protocol, found_out=True)
    govern_inbound(cluster, options, view, of_port(own.rule.policy if own.rule else None, port.number))
    return _with_options(cluster, options)


def _said(seen: Seen, subset: str) -> dict[str, object]:
    said: dict[str, object] = {"services": _services([seen.service])}
    if subset:
        said["subset"] = subset
    if seen.service.external:
        said["external"] = True
    if seen.rule:
        about = seen.rule.metadata
        said["config"] = names.configuration("destination-rule", about.namespace, about.name)
    return said


def _services(services: Iterable[Service]) -> list[dict[str, str]]:
    return [{"host": each.host, "name": each.name, "namespace": each.namespace} for each in services]


_AS_IT_COMES: Final = HttpProtocolOptions.UseDownstreamHttpConfig(
    http_protocol_options=protocol_pb2.Http1ProtocolOptions(),
    http2_protocol_options=protocol_pb2.Http2ProtocolOptions(),
)


def _protocols(protocol: Protocol, *, found_out: bool) -> HttpProtocolOptions:
    """``found_out``: a port whose protocol nobody declared is spoken to as its client spoke."""
    options = HttpProtocolOptions()
    if protocol.http2:
        options.explicit_http_config.http2_protocol_options.SetInParent()
    elif protocol is Protocol.AUTO and found_out:
        options.use_downstream_protocol_config.CopyFrom(_AS_IT_COMES)
    return options


def _with_options(cluster: Cluster, options: HttpProtocolOptions) -> Cluster:
    if options != HttpProtocolOptions():
        if options.WhichOneof("upstream_protocol_options") is None:
            options.explicit_http_config.http_protocol_options.SetInParent()
        cluster.typed_extension_protocol_options[_HTTP_OPTIONS].CopyFrom(pack(options))
    return cluster
