"""From a connection and its metadata to the identity of the caller, as istiod's authenticators do it in
their order: the client certificate first, then the bearer token.

Owns:      the order, and the log line that says why somebody was turned away.
Does not:  tell the caller why; the services answer with one fixed sentence.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cryptography import x509

from lab.controlplane.faults import Faults
from lab.controlplane.front import Peer
from lab.controlplane.spiffe import SpiffeId
from lab.controlplane.timestamps import SECOND
from lab.controlplane.tokens import Exists, TokenIssuer, TokenRefused

log = logging.getLogger("authn")

_BEARER = "bearer "

Metadata = Iterable[tuple[str, str | bytes]]


class AuthenticationFailed(Exception):
    """Nobody we know. The reasons were logged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    identity: SpiffeId
    address: str
    by: str
    """``certificate`` or ``token``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticator:
    issuer: TokenIssuer
    audience: str
    trust_domain: Callable[[], str]
    exists: Exists
    now: Callable[[], int]
    faults: Faults

    def authenticate(self, peer: Peer | None, metadata: Metadata) -> Caller:
        """Raises AuthenticationFailed."""
        if peer is None:
            log.warning("refused a connection that did not come through the TLS port")
            raise AuthenticationFailed
        reasons = ["no client certificate"]
        if peer.certificate is not None:
            identity = certificate_identity(peer.certificate)
            if identity is not None:
                return Caller(identity=identity, address=peer.address, by="certificate")
            reasons = ["client certificate names no SPIFFE identity"]
        try:
            account = self.issuer.verify(
                self._token(metadata),
                audience=self.audience,
                now=self.now() // SECOND,
                exists=self.exists,
            )
        except TokenRefused as why:
            log.warning("authentication failed\tpeer=%s\treason=%s; token: %s", peer.address, reasons[0], why)
            raise AuthenticationFailed from why
        identity = SpiffeId(
            trust_domain=self.trust_domain(), namespace=account.namespace, account=account.name
        )
        return Caller(identity=identity, address=peer.address, by="token")

    def _token(self, metadata: Metadata) -> str:
        if self.faults.refuse_tokens:
            raise TokenRefused("refused on request (fault)")
        for key, value in metadata:
            if key == "authorization" and isinstance(value, str) and value.lower().startswith(_BEARER):
                return value[len(_BEARER) :].strip()
        raise TokenRefused("none was sent")


def certificate_identity(der: bytes) -> SpiffeId | None:
    """The first SPIFFE name of a certificate whose chain the handshake has already verified."""
    certificate = x509.load_der_x509_certificate(der)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
    for uri in names.get_values_for_type(x509.UniformResourceIdentifier):
        try:
            return SpiffeId.parse(uri)
        except ValueError:
            continue
    return None
