"""What the comparison does not look at, by name and with the reason. Whatever is not here is compared.

Owns:      the list, and the question whether a field is on it.
Does not:  hide a difference because it is there: an entry must say why it cannot change which bytes go where.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Hidden:
    what: str
    reason: str
    fields: frozenset[str] = frozenset()
    """``Message.field`` of Envoy's API, by the message's short name."""


ISTIO: Final = "istio"
"""Key of Istio's own metadata."""
ALPN_OVERRIDE: Final = "alpn_override"
"""The one entry of Istio's metadata that a filter on the path obeys."""

HIDDEN: Final = (
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

FIELDS: Final = frozenset[str]().union(*(each.fields for each in HIDDEN))

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
