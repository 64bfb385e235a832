"""What the comparison does not look at, by name and with the reason. Whatever is not here is compared.

Owns:      the list, and the question whether a field, a filter or a name is on it.
Does not:  hide a difference because it is there: an entry must say why it cannot change which bytes go where.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Hidden:
    what: str
    reason: str
    filters: frozenset[str] = frozenset()
    """Names of filters, in whatever list of filters they stand."""
    fields: frozenset[str] = frozenset()
    """``Message.field`` of Envoy's API, by the message's short name."""
    values: frozenset[str] = frozenset()
    """Names of protocols, offered in TLS or matched."""


ISTIO: Final = "istio"
"""Key of Istio's own metadata."""
ALPN_OVERRIDE: Final = "alpn_override"
"""The one entry of Istio's metadata that a filter on the path obeys."""

HIDDEN: Final = (
    Hidden(
        what="filter istio.stats",
        reason="It counts; it changes no byte.",
        filters=frozenset({"istio.stats"}),
    ),
    Hidden(
        what="filter istio.metadata_exchange and the ALPN name istio-peer-exchange",
        reason="The filter tells the other end who is calling, for its metrics; the name announces the "
        "preface in which it does so on plain TCP. Both ends leave out both here, because a stock Envoy has "
        "no such filter; what they carry besides goes the same way.",
        filters=frozenset({"istio.metadata_exchange"}),
        values=frozenset({"istio-peer-exchange"}),
    ),
    Hidden(
        what="filter istio.alpn",
        reason="It offers the server a name that tells the version of HTTP (istio-http/1.1) instead of plain "
        "istio. A stock Envoy has no such filter. The endpoint is chosen before, and chains of a declared "
        "port take both names.",
        filters=frozenset({"istio.alpn"}),
    ),
    Hidden(
        what="names of statistics: alt_stat_name, stat_prefix",
        reason="Counters are called by them, nothing else.",
        fields=frozenset(
            {
                "Cluster.alt_stat_name",
                "HttpConnectionManager.stat_prefix",
                "TcpProxy.stat_prefix",
                "MongoProxy.stat_prefix",
                "MySQLProxy.stat_prefix",
                "RedisProxy.stat_prefix",
                "Listener.stat_prefix",
            }
        ),
    ),
    Hidden(
        what="tracing: sampling, tags, decorator, request_id_extension",
        reason="Traces describe a request; no provider is set up in the recorded mesh, and none is served.",
        fields=frozenset(
            {
                "HttpConnectionManager.tracing",
                "HttpConnectionManager.request_id_extension",
                "Route.decorator",
            }
        ),
    ),
    Hidden(
        what=f"metadata of key {ISTIO}, except {ALPN_OVERRIDE}",
        reason="Names of services, workloads and documents for metrics and istioctl. Metadata by which Envoy "
        "chooses (envoy.lb, envoy.transport_socket_match) is compared.",
    ),
    Hidden(
        what="the order of resources, virtual hosts, domains, filter chains, endpoints, accepted peer names",
        reason="Envoy looks each of them up by key or by the closest match, never by position. Routes, "
        "filters, listener filters, weighted clusters and ALPN names keep their order.",
    ),
)

FILTERS: Final = frozenset[str]().union(*(each.filters for each in HIDDEN))
FIELDS: Final = frozenset[str]().union(*(each.fields for each in HIDDEN))
VALUES: Final = frozenset[str]().union(*(each.values for each in HIDDEN))

UNORDERED: Final = frozenset(
    {
        "RouteConfiguration.virtual_hosts",
        "VirtualHost.domains",
        "Listener.filter_chains",
        "ClusterLoadAssignment.endpoints",
        "LocalityLbEndpoints.lb_endpoints",
        "CertificateValidationContext.match_subject_alt_names",
        "CertificateValidationContext.match_typed_subject_alt_names",
        "FilterChainMatch.server_names",
        "FilterChainMatch.prefix_ranges",
        "RouteMatch.headers",
        "RouteMatch.query_parameters",
        "NameInfo.ips",
    }
)
"""Lists in which Envoy, or the agent's resolver, looks for what fits rather than for what comes first."""
