"""Istio's own extensions of Envoy, and what becomes of each where an Envoy does not have it.

Owns:      the verdicts, with their reasons; docs/compatibility.md shows the same table, a test compares them.
Does not:  know what an Envoy has (loadable.py) or where extensions sit (places.py).

Only what observes is ever taken out. What decides about traffic, and everything that is not in this table,
is refused: a proxy that serves without a check it was told to make is worse than one that says no.

Source: names, types and registered names are those of istio/proxy up to 1.31; what istiod 1.29 sends was
recorded.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Verdict(StrEnum):
    OUT = "taken out"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Extension:
    name: str
    """As istiod's configuration calls it."""
    types: tuple[str, ...]
    """Full names of its configuration messages."""
    registered: tuple[str, ...] = ()
    """How Envoys that have it list it, beside ``name``; counts where they list it without types."""
    verdict: Verdict
    reason: str


def _out(name: str, reason: str, *types: str, registered: tuple[str, ...] = ()) -> Extension:
    return Extension(name=name, types=types, registered=registered, verdict=Verdict.OUT, reason=reason)


def _refused(name: str, reason: str, *types: str, registered: tuple[str, ...] = ()) -> Extension:
    return Extension(name=name, types=types, registered=registered, verdict=Verdict.REFUSED, reason=reason)


METADATA_EXCHANGE: Final = _out(
    "istio.metadata_exchange",
    "telemetry: tells the peer of a TCP connection who we are; its ALPN name `istio-peer-exchange` goes too",
    "envoy.tcp.metadataexchange.config.MetadataExchange",
    registered=(
        "envoy.filters.network.metadata_exchange",
        "envoy.filters.network.upstream.metadata_exchange",
    ),
)
ALPN: Final = _out(
    "istio.alpn",
    "ALPN: announces each request's protocol; the cluster's is announced instead, where it is known",
    "istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig",
)

EXTENSIONS: Final = (
    _out(
        "istio.stats",
        "telemetry: counts requests and connections",
        "stats.PluginConfig",
        registered=("envoy.filters.http.istio_stats", "envoy.filters.network.istio_stats"),
    ),
    METADATA_EXCHANGE,
    _out(
        "istio.metadata_exchange (HTTP)",
        "peer metadata: the same in headers, for telemetry and logs",
        "io.istio.http.peer_metadata.Config",
        registered=("envoy.filters.http.peer_metadata", "istio.metadata_exchange"),
    ),
    _out(
        "peer_metadata",
        "peer metadata: carried between two listeners of one Envoy, for telemetry",
        "envoy.extensions.network_filters.peer_metadata.Config",
        "envoy.extensions.network_filters.peer_metadata.UpstreamConfig",
        registered=("envoy.filters.network.peer_metadata", "envoy.filters.network.upstream.peer_metadata"),
    ),
    _out(
        "connect_baggage",
        "peer metadata: writes and reads the baggage of tunnels, for telemetry",
        "io.istio.http.connect_baggage.Config",
        registered=("envoy.filters.http.connect_baggage",),
    ),
    ALPN,
    _refused(
        "istio_authn",
        "authentication: establishes who the peer is",
        "istio.envoy.config.filter.http.authn.v2alpha1.FilterConfig",
        "io.istio.network.authn.Config",
        registered=("io.istio.network.authn",),
    ),
    _refused(
        "istio_tlv_authn",
        "authentication: takes the peer's name from the PROXY protocol",
        "io.istio.network.tlv_authn.Config",
        registered=("io.istio.network.tlv_authn",),
    ),
    _refused(
        "jwt-auth",
        "authentication: checks tokens of requests",
        "istio.envoy.config.filter.http.jwt_auth.v2alpha1.JwtAuthentication",
    ),
    _refused(
        "sni_verifier",
        "authorization: closes connections whose inner server name differs from the outer",
        "io.istio.tcp.sni_verifier.v1.Config",
    ),
    _refused(
        "istio.misdirected_request",
        "authorization: answers 421 to requests that came by another host's certificate",
        "istio.envoy.config.filter.http.misdirected_request.v1alpha1.FilterConfig",
    ),
    _refused(
        "connect_authority",
        "routing: reads the destination of a tunnel",
        "io.istio.http.connect_authority.Config",
        registered=("envoy.filters.http.connect_authority",),
    ),
    _refused(
        "istio.set_internal_dst_address",
        "routing: sets the destination inside a tunnel",
        "istio.set_internal_dst_address.v1.Config",
    ),
    _refused(
        "tcp_cluster_rewrite",
        "routing: chooses the cluster of a connection",
        "istio.envoy.config.filter.network.tcp_cluster_rewrite.v2alpha1.TcpClusterRewrite",
        registered=("envoy.filters.network.tcp_cluster_rewrite",),
    ),
    _refused(
        "forward_downstream_sni",
        "routing: passes the server name on, by which the next hop chooses",
        "io.istio.tcp.forward_downstream_sni.v1.Config",
    ),
)
"""Istio's own, and what it has brought over time."""

ENVOYS: Final = (
    _refused(
        "envoy.filters.*.rbac",
        "authorization: AuthorizationPolicy",
        "envoy.extensions.filters.http.rbac.v3.RBAC",
        "envoy.extensions.filters.http.rbac.v3.RBACPerRoute",
        "envoy.extensions.filters.network.rbac.v3.RBAC",
    ),
    _refused(
        "envoy.filters.*.ext_authz",
        "authorization: asks a service of its own",
        "envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
        "envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute",
        "envoy.extensions.filters.network.ext_authz.v3.ExtAuthz",
    ),
    _refused(
        "envoy.filters.http.jwt_authn",
        "authentication: RequestAuthentication",
        "envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
        "envoy.extensions.filters.http.jwt_authn.v3.PerRouteConfig",
    ),
    _refused(
        "envoy.filters.*.ratelimit, local_ratelimit",
        "rate limits",
        "envoy.extensions.filters.http.ratelimit.v3.RateLimit",
        "envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute",
        "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
        "envoy.extensions.filters.network.ratelimit.v3.RateLimit",
        "envoy.extensions.filters.network.local_ratelimit.v3.LocalRateLimit",
        "envoy.extensions.filters.listener.local_ratelimit.v3.LocalRateLimit",
    ),
    _refused(
        "envoy.filters.*.wasm",
        "WasmPlugin: may decide anything",
        "envoy.extensions.filters.http.wasm.v3.Wasm",
        "envoy.extensions.filters.network.wasm.v3.Wasm",
    ),
)
"""Envoy's own that decide about traffic. Only a build that leaves them out lacks them."""

UNKNOWN: Final = "unknown: may decide anything"
"""The reason for every extension that is not in the table."""

BY_TYPE: Final = {name: extension for extension in EXTENSIONS for name in extension.types}

ENVOYS_BY_TYPE: Final = {name: extension for extension in ENVOYS for name in extension.types}

BY_NAME: Final = {
    name: extension for extension in EXTENSIONS for name in (extension.name, *extension.registered)
}
"""For a configuration that has no type. Where two share a name their verdicts are the same, which a test
checks.
"""
