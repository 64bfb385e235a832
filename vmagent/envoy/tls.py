"""TLS contexts, towards tracers and collectors and on the secure metrics listeners.

Owns:      how Istio's ClientTLSSettings become an Envoy transport socket.
Does not:  hold keys. The mesh's own come over SDS; files that the operator named are read by Envoy itself.
Surprise:  Istio's agent serves the operator's files over SDS (``file-root:``, ``file-cert:``). Here Envoy
           opens them: a missing file is named at start instead of leaving a cluster that never warms.
"""

from collections.abc import Mapping

from vmagent.envoy import document
from vmagent.envoy.config import EnvoyConfig, Json, Object
from vmagent.errors import Misconfigured

WORKLOAD, MESH_ROOT = "default", "ROOTCA"
"""Names of the secrets that the agent's SDS serves."""

_SDS: Object = {
    "api_config_source": {
        "api_type": "GRPC",
        "grpc_services": [{"envoy_grpc": {"cluster_name": "sds-grpc"}}],
        "set_node_on_first_message_only": True,
        "transport_api_version": "V3",
    },
    "resource_api_version": "V3",
}
_TRANSPORT = "envoy.transport_sockets.tls"
_TYPE = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3"


def upstream(
    config: EnvoyConfig, settings: Mapping[str, Json], *, key: str, sni: str, http2: bool
) -> Object | None:
    """The transport socket for ``settings`` (ClientTLSSettings), None for plain text.

    ``sni`` is the server name to ask for in ISTIO_MUTUAL if the settings have none; ``key`` names the
    settings in an error.
    """
    mode = document.text(settings, "mode") or "DISABLE"
    if mode == "DISABLE":
        return None
    if mode == "ISTIO_MUTUAL":
        common, alpn = _mesh(settings), ["istio", "h2"]
        name = document.text(settings, "sni") or sni
    elif mode in ("SIMPLE", "MUTUAL"):
        common, alpn = _files(config, settings, key, mutual=mode == "MUTUAL"), ["h2"]
        name = document.text(settings, "sni")
    else:
        raise Misconfigured(
            f"mesh file: defaultConfig.{key}.mode: {mode!r} is unknown",
            hint="write DISABLE, SIMPLE, MUTUAL or ISTIO_MUTUAL",
        )
    if http2:
        common["alpn_protocols"] = [*alpn]
    context: Object = {"@type": f"{_TYPE}.UpstreamTlsContext", "common_tls_context": common}
    if name:
        context["sni"] = name
    return {"name": _TRANSPORT, "typed_config": context}


def downstream() -> Object:
    """Mutual TLS with the workload's own certificate; whoever the mesh root has signed may come."""
    return {
        "name": _TRANSPORT,
        "typed_config": {
            "@type": f"{_TYPE}.DownstreamTlsContext",
            "common_tls_context": {
                "alpn_protocols": ["h2", "http/1.1"],
                "tls_certificate_sds_secret_configs": [_secret(WORKLOAD)],
                "combined_validation_context": {
                    "default_validation_context": {},
                    "validation_context_sds_secret_config": _secret(MESH_ROOT),
                },
            },
            "require_client_certificate": True,
        },
    }


def _mesh(settings: Mapping[str, Json]) -> Object:
    return {
        "tls_certificate_sds_secret_configs": [_secret(WORKLOAD)],
        "combined_validation_context": {
            "default_validation_context": _names(settings),
            "validation_context_sds_secret_config": _secret(MESH_ROOT),
        },
    }


def _files(config: EnvoyConfig, settings: Mapping[str, Json], key: str, *, mutual: bool) -> Object:
    def path(field: str, override: str) -> str:
        found = document.text(config.node.metadata, override) or document.text(settings, field)
        if not found:
            raise Misconfigured(f"mesh file: defaultConfig.{key}.{field} is missing", hint="name a PEM file")
        return found

    skip = settings.get("insecureSkipVerify") is True
    common: Object = {}
    if not skip:
        root = path("caCertificates", "TLS_CLIENT_ROOT_CERT")
        common["validation_context"] = {"trusted_ca": {"filename": root}, **_names(settings)}
    if mutual:
        chain = path("clientCertificate", "TLS_CLIENT_CERT_CHAIN")
        private = path("privateKey", "TLS_CLIENT_KEY")
        common["tls_certificates"] = [
            {"certificate_chain": {"filename": chain}, "private_key": {"filename": private}}
        ]
    return common


def _names(settings: Mapping[str, Json]) -> Object:
    """The peer must bear one of these names, as URI (SPIFFE) or as DNS name."""
    names = document.texts(settings, "subjectAltNames")
    if not names:
        return {}
    matchers: list[Json] = [
        {"san_type": "URI" if "://" in name else "DNS", "matcher": {"exact": name}} for name in names
    ]
    return {"match_typed_subject_alt_names": matchers}


def _secret(name: str) -> Object:
    return {"name": name, "sds_config": _SDS}
