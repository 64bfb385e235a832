"""A small certificate authority for tests: short lives, and kinds of certificates that a real one would not
make."""

import base64
import datetime
import json
import time
from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

BOTH_ENDS = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
BACK = 120.0
"""Seconds that istiod sets NotBefore back."""


def instant(epoch: float) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(epoch, datetime.UTC)


def name(organization: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization)])


def pem(cert: x509.Certificate) -> str:
    return cert.public_bytes(Encoding.PEM).decode()


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


class Authority:
    """Signs with ``key``; ``parent`` makes it an intermediate one."""

    def __init__(
        self,
        organization: str = "cluster.local",
        *,
        parent: "Authority | None" = None,
        path_length: int | None = None,
        ca: bool = True,
        start: float | None = None,
        life: float = 3600.0,
    ) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.parent = parent
        self.subject = name(organization)
        start = time.time() - BACK if start is None else start
        builder = self._begin(self.subject, self.key.public_key(), start, start + BACK + life)
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)
        signer = parent or self
        self.cert = builder.issuer_name(signer.subject).sign(signer.key, hashes.SHA256())

    def leaf(
        self,
        public: CertificateIssuerPublicKeyTypes,
        names: Sequence[x509.GeneralName],
        *,
        life: float = 3600.0,
        start: float | None = None,
        uses: Sequence[x509.ObjectIdentifier] = BOTH_ENDS,
        strange: bool = False,
    ) -> x509.Certificate:
        """``strange`` adds a critical extension that nobody knows."""
        now = time.time()
        start = now - BACK if start is None else start
        builder = self._begin(x509.Name([]), public, start, now + life).issuer_name(self.subject)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        if strange:
            unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\5\0")
            builder = builder.add_extension(unknown, critical=True)
        return builder.sign(self.key, hashes.SHA256())

    def sign(self, csr_pem: str, spiffe: str, *, life: float = 3600.0) -> list[str]:
        """As istiod answers: the SAN is the caller's identity, whatever the request says; the root is
        last."""
        csr = x509.load_pem_x509_csr(csr_pem.encode())
        assert csr.is_signature_valid
        public = csr.public_key()
        assert isinstance(public, ec.EllipticCurvePublicKey | rsa.RSAPublicKey)
        leaf = self.leaf(public, [x509.UniformResourceIdentifier(spiffe)], life=life)
        return [pem(leaf), *self._upwards()]

    def server(self, *names: x509.GeneralName, life: float = 3600.0) -> tuple[bytes, bytes]:
        """Key and chain for a TLS server, or a client."""
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = pem(self.leaf(key.public_key(), names, life=life))
        return private_pem(key), "".join([leaf, *self._upwards()]).encode()

    @property
    def root_pem(self) -> bytes:
        return self._upwards()[-1].encode()

    def _upwards(self) -> list[str]:
        return [pem(self.cert), *(self.parent._upwards() if self.parent else [])]

    def _begin(
        self, subject: x509.Name, public: CertificateIssuerPublicKeyTypes, start: float, end: float
    ) -> x509.CertificateBuilder:
        signer = self.parent.key if self.parent and public == self.key.public_key() else self.key
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(instant(start))
            .not_valid_after(instant(end))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
            )
        )


def jwt(**claims: object) -> str:
    """A token in form; its signature is worth nothing."""

    def part(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    return ".".join((part(b'{"alg":"ES256"}'), part(json.dumps(claims).encode()), part(b"signature")))


def service_account_jwt(
    namespace: str = "istio-demo",
    account: str = "vm",
    *,
    audience: str = "istio-ca",
    expires: float | None = None,
) -> str:
    return jwt(
        iss="https://kubernetes.default.svc.cluster.local",
        aud=[audience],
        sub=f"system:serviceaccount:{namespace}:{account}",
        exp=int(time.time() + 3600 if expires is None else expires),
    )
