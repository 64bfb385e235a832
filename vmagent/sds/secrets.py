"""Secrets as Envoy's messages, and which of ours a new credential changes. Pure."""

from collections.abc import Iterable
from typing import Final

from vmagent._pb import wire_pb2 as wire
from vmagent.identity.certfiles import Bundle, Content, Pair
from vmagent.identity.credential import Credential, KeyPair
from vmagent.sds.names import DEFAULT, ROOTCA

TYPE_URL: Final = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret"
STATUS_URL: Final = "type.googleapis.com/google.rpc.Status"
NOT_FOUND: Final = 5
"""Of google.rpc.Code."""


def own(name: str, credential: Credential) -> Content:
    """``default`` or ``ROOTCA``."""
    if name == ROOTCA:
        return Bundle(pem=credential.root_pem, dropped=0)
    return Pair(
        pair=credential.pair, not_before=credential.not_before, not_after=credential.not_after, uri=""
    )


def secret(name: str, content: Content) -> wire.Secret:
    match content:
        case Bundle():
            trusted = wire.DataSource(inline_bytes=content.pem)
            context = wire.CertificateValidationContext(trusted_ca=trusted)
            return wire.Secret(name=name, validation_context=context)
        case Pair():
            return wire.Secret(name=name, tls_certificate=_certificate(content.pair))


def _certificate(pair: KeyPair) -> wire.TlsCertificate:
    return wire.TlsCertificate(
        certificate_chain=wire.DataSource(inline_bytes=pair.chain_pem),
        private_key=wire.DataSource(inline_bytes=pair.key_pem),
    )


def response(contents: Iterable[tuple[str, Content]], *, version: str, nonce: str) -> wire.DiscoveryResponse:
    packed = (
        wire.Any(type_url=TYPE_URL, value=secret(name, content).SerializeToString())
        for name, content in contents
    )
    return wire.DiscoveryResponse(version_info=version, resources=packed, type_url=TYPE_URL, nonce=nonce)


def denial(why: str, *, nonce: str) -> wire.DiscoveryResponse:
    """That there is no such secret now. Envoy rejects it, for it is none, shows the sentence in its log, and
    goes on: to silence and to a stream that ends it reacts by waiting for 15 s with all its clusters.
    """
    status = wire.Status(code=NOT_FOUND, message=why)
    packed = wire.Any(type_url=STATUS_URL, value=status.SerializeToString())
    return wire.DiscoveryResponse(resources=[packed], type_url=TYPE_URL, nonce=nonce)


def changed(old: Credential | None, new: Credential) -> tuple[str, ...]:
    """The names whose content differs, the roots first: a new root should be known before its use."""
    names = []
    if old is None or old.root_pem != new.root_pem:
        names.append(ROOTCA)
    if old is None or (old.key_pem, old.chain_pem) != (new.key_pem, new.chain_pem):
        names.append(DEFAULT)
    return tuple(names)
