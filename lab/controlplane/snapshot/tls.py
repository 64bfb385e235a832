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

from lab.controlplane.kinds.destination_rule import ClientTls
from lab.controlplane.kinds.gateway import ServerTls
from lab.controlplane.snapshot.endpoints import TLS_MODE
from lab.controlplane.snapshot.packing import pack, seconds, struct
from lab.controlplane.workloads import DISABLED, ISTIO

MESH_TCP: Final = "istio"
"""What a client of the mesh offers for a connection it does not look into."""
MESH_HTTP: Final = ("istio-http/1.0", "istio-http/1.1", "istio-h2")
"""What it offers for HTTP, when it has Istio's filter that says so."""

_BUILTIN: Final = "builtin://"
"""As the name of a Secret: the mesh's own certificate."""
_SECRET: Final = "kubernetes://"
_ROOT_OF_SECRET: Final = "-cacert"

_SYSTEM_ROOTS: Final = "system"
"""In place of a file: the roots the host trusts."""

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


def by_endpoint(mesh_socket: base_pb2.TransportSocket) -> list[cluster_pb2.Cluster.TransportSocketMatch]:
    """Mutual TLS for endpoints whose metadata says so, plain text for others."""
    return [
        cluster_pb2.Cluster.TransportSocketMatch(
            name=f"{TLS_MODE}-{ISTIO}", match=struct({TLS_MODE: ISTIO}), transport_socket=mesh_socket
        ),
        cluster_pb2.Cluster.TransportSocketMatch(
            name=f"{TLS_MODE}-{DISABLED}",
            match=struct({}),
            transport_socket=base_pb2.TransportSocket(
                name="envoy.transport_sockets.raw_buffer", typed_config=pack(raw_buffer_pb2.RawBuffer())
            ),
        ),
    ]


def with_mesh_identity(*, sni: str, peers: Iterable[str], http2: bool) -> base_pb2.TransportSocket:
    """The certificate of the mesh, to a peer that has one of these SPIFFE names; none: any of the mesh."""
    alpn = (MESH_TCP, "h2") if http2 else (MESH_TCP,)
    return _upstream(
        tls_pb2.UpstreamTlsContext(common_tls_context=_common(_exact(peers), alpn=alpn), sni=sni)
    )


def with_files(tls: ClientTls, *, peers: Iterable[str], http2: bool) -> base_pb2.TransportSocket:
    """What a DestinationRule names: the agent beside the proxy reads the files and hands them over, so that
    new ones count without a restart; or a Secret, which the control plane would."""
    common = tls_pb2.CommonTlsContext(tls_params=_versions(), alpn_protocols=("h2",) if http2 else ())
    if tls.mode == "MUTUAL":
        file = f"file-cert:{tls.client_certificate}~{tls.private_key}"
        common.tls_certificate_sds_secret_configs.append(
            _kept(tls.credential) if tls.credential else _secret(file, at_once=False)
        )
    if tls.skip_verify:
        common.validation_context.SetInParent()
    else:
        roots = f"file-root:{tls.ca_certificates or _SYSTEM_ROOTS}"
        common.combined_validation_context.CopyFrom(
            _validation(_root(tls.credential) if tls.credential else _secret(roots, at_once=False), peers)
        )
    return _upstream(tls_pb2.UpstreamTlsContext(common_tls_context=common, sni=tls.sni))


def termination(trust_domain: str) -> base_pb2.TransportSocket:
    """What an inbound chain asks of its peer: a certificate of the mesh, anyone's within the trust domain."""
    accepted = [string_pb2.StringMatcher(prefix=f"spiffe://{trust_domain}/")]
    common = _common(accepted, alpn=_PEER_PROTOCOLS)
    common.tls_params.cipher_suites.extend(_INBOUND_CIPHERS)
    return _downstream(common, demands=True)


def gateway_termination(tls: ServerTls, *, http: bool) -> base_pb2.TransportSocket:
    """At a router: its own certificate from files or a Secret, or the mesh's."""
    demands = tls.mode in ("MUTUAL", "ISTIO_MUTUAL")
    if tls.mode == "ISTIO_MUTUAL":
        alpn = _PEER_PROTOCOLS if http else (MESH_TCP, *_PEER_PROTOCOLS)
        common = _common(_exact(tls.subject_alt_names), alpn=alpn)
        common.ClearField("tls_params")
        return _downstream(common, demands=demands)
    common = tls_pb2.CommonTlsContext(alpn_protocols=_PEER_PROTOCOLS)
    root = _secret(f"file-root:{tls.ca_certificates}", at_once=False)
    if tls.credentials:
        common.tls_certificate_sds_secret_configs.extend(map(_kept, tls.credentials))
        root = _root(tls.credentials[0])
    else:
        file = f"file-cert:{tls.certificate}~{tls.private_key}"
        common.tls_certificate_sds_secret_configs.append(_secret(file, at_once=False))
    if demands or tls.mode == "OPTIONAL_MUTUAL":
        common.combined_validation_context.CopyFrom(_validation(root, tls.subject_alt_names))
    elif tls.credentials and tls.subject_alt_names:
        common.validation_context.match_subject_alt_names.extend(_exact(tls.subject_alt_names))
    if tls.oldest != "TLS_AUTO":
        common.tls_params.tls_minimum_protocol_version = _version(tls.oldest)
    if tls.newest != "TLS_AUTO":
        common.tls_params.tls_maximum_protocol_version = _version(tls.newest)
    common.tls_params.cipher_suites.extend(tls.ciphers)
    if common.tls_params == common_pb2.TlsParameters():
        common.ClearField("tls_params")
    return _downstream(common, demands=demands)


def _version(name: str) -> common_pb2.TlsParameters.TlsProtocol:
    return common_pb2.TlsParameters.TlsProtocol.Value(name.replace("TLSV", "TLSv"))


def _upstream(context: tls_pb2.UpstreamTlsContext) -> base_pb2.TransportSocket:
    return base_pb2.TransportSocket(name="envoy.transport_sockets.tls", typed_config=pack(context))


def _downstream(common: tls_pb2.CommonTlsContext, *, demands: bool) -> base_pb2.TransportSocket:
    context = tls_pb2.DownstreamTlsContext(
        common_tls_context=common, require_client_certificate={"value": demands}
    )
    return base_pb2.TransportSocket(name="envoy.transport_sockets.tls", typed_config=pack(context))


def _exact(names: Iterable[str]) -> list[string_pb2.StringMatcher]:
    return [string_pb2.StringMatcher(exact=each) for each in names]


def _versions() -> common_pb2.TlsParameters:
    return common_pb2.TlsParameters(
        tls_minimum_protocol_version=common_pb2.TlsParameters.TLSv1_2,
        tls_maximum_protocol_version=common_pb2.TlsParameters.TLSv1_3,
    )


def _common(accepted: list[string_pb2.StringMatcher], *, alpn: tuple[str, ...]) -> tls_pb2.CommonTlsContext:
    return tls_pb2.CommonTlsContext(
        tls_params=_versions(),
        alpn_protocols=alpn,
        tls_certificate_sds_secret_configs=[_secret(_CERTIFICATE)],
        combined_validation_context=_combined(_secret(_ROOT), accepted),
    )


def _validation(
    root: secret_pb2.SdsSecretConfig, names: Iterable[str]
) -> tls_pb2.CommonTlsContext.CombinedCertificateValidationContext:
    return _combined(root, _exact(names))


def _combined(
    root: secret_pb2.SdsSecretConfig, accepted: list[string_pb2.StringMatcher]
) -> tls_pb2.CommonTlsContext.CombinedCertificateValidationContext:
    # match_subject_alt_names is deprecated in Envoy's API and still what istiod writes and Envoy obeys.
    return tls_pb2.CommonTlsContext.CombinedCertificateValidationContext(
        default_validation_context=common_pb2.CertificateValidationContext(match_subject_alt_names=accepted),
        validation_context_sds_secret_config=root,
    )


def _root(name: str) -> secret_pb2.SdsSecretConfig:
    return _kept(f"{name}{_ROOT_OF_SECRET}")


def _kept(name: str) -> secret_pb2.SdsSecretConfig:
    """A Secret of Kubernetes, which a proxy asks its control plane for. It may be missing: nothing waits for
    it longer than Envoy's usual time."""
    if name.startswith(_BUILTIN):
        return _secret(_ROOT if name.endswith(_ROOT_OF_SECRET) else _CERTIFICATE)
    source = config_source_pb2.ConfigSource(
        ads=config_source_pb2.AggregatedConfigSource(), resource_api_version=config_source_pb2.V3
    )
    return secret_pb2.SdsSecretConfig(name=name if "://" in name else f"{_SECRET}{name}", sds_config=source)


def _secret(name: str, *, at_once: bool = True) -> secret_pb2.SdsSecretConfig:
    """``at_once``: a listener or cluster waits for it without end; files may be missing, and Envoy goes on
    after its usual time."""
    service = config_source_pb2.ApiConfigSource(
        api_type=config_source_pb2.ApiConfigSource.GRPC,
        grpc_services=[{"envoy_grpc": {"cluster_name": _SDS_CLUSTER}}],
        set_node_on_first_message_only=True,
        transport_api_version=config_source_pb2.V3,
    )
    source = config_source_pb2.ConfigSource(
        api_config_source=service, resource_api_version=config_source_pb2.V3
    )
    if at_once:
        source.initial_fetch_timeout.CopyFrom(seconds(0))
    return secret_pb2.SdsSecretConfig(name=name, sds_config=source)
