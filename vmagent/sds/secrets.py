"""The two secrets we have, as Envoy's messages, and which of them a new credential changes. Pure."""

from collections.abc import Iterable
from typing import Final

from vmagent._pb import wire_pb2 as wire
from vmagent.identity.credential import Credential

DEFAULT: Final = "default"
ROOTCA: Final = "ROOTCA"
NAMES: Final = frozenset({DEFAULT, ROOTCA})
"""What istiod's configuration names. Istio's own agent answers any other name with the private key; we
refuse."""

TYPE_URL: Final = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"


def secret(name: str, credential: Credential) -> wire.Secret:
    """``name`` is one of NAMES."""
    if name == ROOTCA:
        trusted = wire.DataSource(inline_bytes=credential.root_pem)
        return wire.Secret(
            name=name, validation_context=wire.CertificateValidationContext(trusted_ca=trusted)
        )
    return wire.Secret(
        name=name,
        tls_certificate=wire.TlsCertificate(
            certificate_chain=wire.DataSource(inline_bytes=credential.chain_pem),
            private_key=wire.DataSource(inline_bytes=credential.key_pem),
        ),
    )


def response(
    names: Iterable[str], credential: Credential, *, version: str, nonce: str
) -> wire.DiscoveryResponse:
    packed = (
        wire.Any(type_url=TYPE_URL, value=secret(name, credential).SerializeToString()) for name in names
    )
    return wire.DiscoveryResponse(version_info=version, resources=packed, type_url=TYPE_URL, nonce=nonce)


def changed(old: Credential | None, new: Credential) -> tuple[str, ...]:
    """The names whose content differs, the roots first: a new root should be known before its use."""
    names = []
    if old is None or old.root_pem != new.root_pem:
        names.append(ROOTCA)
    if old is None or (old.key_pem, old.chain_pem) != (new.key_pem, new.chain_pem):
        names.append(DEFAULT)
    return tuple(names)
