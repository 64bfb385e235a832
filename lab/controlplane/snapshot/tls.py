"""Mutual TLS with the mesh's own certificates: what both ends present and demand.

Owns:      transport sockets and the ALPN names by which an inbound listener recognises the mesh.
Does not:  see a key or a certificate: Envoy gets them from the agent beside it, by the names `default` and
           `ROOTCA`.
Surprise:  istiod's lists also carry `istio-peer-exchange`. Negotiating it obliges both ends to speak a
           preface that only Istio's own Envoy implements: it comes with its extensions (istio_filters.py).
"""

from collections.abc import Iterable
from typing import Final

from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import base_pb2, config_source_pb2
from envoy.extensions.transport_sockets.raw_buffer.v3 import raw_buffer_pb2
from envoy.extensions.transport_sockets.tls.v3 import common_pb2, secret_pb2, tls_pb2
from envoy.type.matcher.v3 import string_pb2

from lab.controlplane.registry import DISABLED, ISTIO
from lab.controlplane.snapshot.endpoints import TLS_MODE
from lab.controlplane.snapshot.packing import pack, seconds, struct

MESH_TCP: Final = "istio"
"""What a client of the mesh offers for a connection it does not look into."""
MESH_HTTP: Final = ("istio-http/1.0", "istio-http/1.1", "istio-h2")
"""What it offers for HTTP, when it has Istio's filter that says so."""

_CERTIFICATE: Final = "default"
_ROOT: Final = "ROOTCA"
_SDS_CLUSTER: Final = "sds-grpc"
"""The cluster of the bootstrap that leads to the agent's workload socket."""

_INBOUND_CIPHERS: Final = (
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "AES256-GCM-SHA384",
    "AES128-GCM-SHA256",
)
_PEER_PROTOCOLS: Final = ("h2", "http/1.1")


def by_endpoint(*, sni: str, peers: Iterable[str]) -> list[cluster_pb2.Cluster.TransportSocketMatch]:
    """Mutual TLS for endpoints whose metadata says so, plain text for others. ``peers``: SPIFFE names."""
    accepted = [string_pb2.StringMatcher(exact=peer) for peer in peers]
    context = tls_pb2.UpstreamTlsContext(common_tls_context=_common(accepted, alpn=(MESH_TCP,)), sni=sni)
    return [
        cluster_pb2.Cluster.TransportSocketMatch(
            name=f"{TLS_MODE}-{ISTIO}",
            match=struct({TLS_MODE: ISTIO}),
            transport_socket=base_pb2.TransportSocket(
                name="envoy.transport_sockets.tls", typed_config=pack(context)
            ),
        ),
        cluster_pb2.Cluster.TransportSocketMatch(
            name=f"{TLS_MODE}-{DISABLED}",
            match=struct({}),
            transport_socket=base_pb2.TransportSocket(
                name="envoy.transport_sockets.raw_buffer", typed_config=pack(raw_buffer_pb2.RawBuffer())
            ),
        ),
    ]


def termination(trust_domain: str) -> base_pb2.TransportSocket:
    """What an inbound chain asks of its peer: a certificate of the mesh, anyone's within the trust domain."""
    accepted = [string_pb2.StringMatcher(prefix=f"spiffe://{trust_domain}/")]
    common = _common(accepted, alpn=_PEER_PROTOCOLS)
    common.tls_params.cipher_suites.extend(_INBOUND_CIPHERS)
    context = tls_pb2.DownstreamTlsContext(
        common_tls_context=common, require_client_certificate={"value": True}
    )
    return base_pb2.TransportSocket(name="envoy.transport_sockets.tls", typed_config=pack(context))


def _common(accepted: list[string_pb2.StringMatcher], *, alpn: tuple[str, ...]) -> tls_pb2.CommonTlsContext:
    # match_subject_alt_names is deprecated in Envoy's API and still what istiod writes and Envoy obeys.
    combined = tls_pb2.CommonTlsContext.CombinedCertificateValidationContext(
        default_validation_context=common_pb2.CertificateValidationContext(match_subject_alt_names=accepted),
        validation_context_sds_secret_config=_secret(_ROOT),
    )
    return tls_pb2.CommonTlsContext(
        tls_params=common_pb2.TlsParameters(
            tls_minimum_protocol_version=common_pb2.TlsParameters.TLSv1_2,
            tls_maximum_protocol_version=common_pb2.TlsParameters.TLSv1_3,
        ),
        alpn_protocols=alpn,
        tls_certificate_sds_secret_configs=[_secret(_CERTIFICATE)],
        combined_validation_context=combined,
    )


def _secret(name: str) -> secret_pb2.SdsSecretConfig:
    service = config_source_pb2.ApiConfigSource(
        api_type=config_source_pb2.ApiConfigSource.GRPC,
        grpc_services=[{"envoy_grpc": {"cluster_name": _SDS_CLUSTER}}],
        set_node_on_first_message_only=True,
        transport_api_version=config_source_pb2.V3,
    )
    return secret_pb2.SdsSecretConfig(
        name=name,
        sds_config=config_source_pb2.ConfigSource(
            api_config_source=service,
            initial_fetch_timeout=seconds(0),
            resource_api_version=config_source_pb2.V3,
        ),
    )
