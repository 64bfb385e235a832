"""The mesh's certificate authority: a root of its own (EC P-256), kept in the state directory.

Owns:      keys, signatures, lifetimes, and what stands in a certificate.
Does not:  decide who may have one; the caller brings the identity. Whatever names the CSR asks for are
           ignored.
"""

import datetime
import ipaddress
import logging
import os
from pathlib import Path
from typing import Final, Self

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lab.controlplane import disk

log = logging.getLogger("ca")

ROOT_LIFETIME: Final = datetime.timedelta(days=3650)
SERVING_LIFETIME: Final = datetime.timedelta(days=365)
BACKDATED: Final = datetime.timedelta(minutes=2)
"""How far a machine's clock may be behind ours and still believe a certificate that was just issued."""

MAX_CSR_BYTES: Final = 64 * 1024
"""A CSR with an RSA key of 4096 bits has below 2 KiB; a larger one is not parsed at all."""
_LONGEST_COMMON_NAME: Final = 64
"""ub-common-name of RFC 5280; an identity that is longer leaves the field out."""

ISTIOD_NAMES: Final = (
    "istiod.istio-system.svc",
    "istiod.istio-system",
    "istiod-remote.istio-system.svc",
    "istio-pilot.istio-system.svc",
    "localhost",
    "127.0.0.1",
)


class SigningRefused(Exception):
    """The request cannot be signed as it is: a broken CSR, or a lifetime beyond what is allowed."""


class Authority:
    def __init__(self, key: ec.EllipticCurvePrivateKey, root: x509.Certificate) -> None:
        self._key = key
        self._root = root
        self.root_pem = root.public_bytes(serialization.Encoding.PEM)

    @classmethod
    def open(cls, state: Path, *, trust_domain: str, now: datetime.datetime) -> Self:
        """The authority of this state directory; a new one is made the first time."""
        key = load_key(state / "ca-key.pem")
        path = state / "root-cert.pem"
        if path.exists():
            return cls(key, x509.load_pem_x509_certificate(path.read_bytes()))
        root = _self_signed(key, trust_domain, now)
        disk.write(path, root.public_bytes(serialization.Encoding.PEM), mode=0o644)
        log.info("new root certificate\ttrust_domain=%s\tpath=%s", trust_domain, path)
        return cls(key, root)

    def sign(
        self, csr_pem: str, *, identity: str, ttl: datetime.timedelta, now: datetime.datetime
    ) -> tuple[str, str]:
        """Leaf and root, PEM. The leaf names ``identity`` and nothing else. Raises SigningRefused."""
        csr = _read_csr(csr_pem)
        wants_name = bool(csr.subject.get_attributes_for_oid(NameOID.COMMON_NAME))
        common_name = identity if wants_name and len(identity) <= _LONGEST_COMMON_NAME else ""
        names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(identity)]
        leaf = self._leaf(csr.public_key(), common_name, names, now, now + ttl)
        return leaf.public_bytes(serialization.Encoding.PEM).decode(), self.root_pem.decode()

    def serving_certificate(self, names: tuple[str, ...], now: datetime.datetime) -> tuple[bytes, bytes]:
        """Key and chain, PEM, for istiod's own names and ``names`` (host names or addresses)."""
        return self.certificate(tuple(dict.fromkeys((*ISTIOD_NAMES, *names))), now)

    def certificate(self, names: tuple[str, ...], now: datetime.datetime) -> tuple[bytes, bytes]:
        """Key and chain, PEM, for these host names and addresses, of a server or of a client."""
        key = ec.generate_private_key(ec.SECP256R1())
        all_names = [_general_name(name) for name in names]
        leaf = self._leaf(key.public_key(), "", all_names, now, now + SERVING_LIFETIME)
        return _key_pem(key), leaf.public_bytes(serialization.Encoding.PEM) + self.root_pem

    def _leaf(
        self,
        key: CertificatePublicKeyTypes,
        common_name: str,
        names: list[x509.GeneralName],
        now: datetime.datetime,
        until: datetime.datetime,
    ) -> x509.Certificate:
        subject = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)] if common_name else []
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = (
            x509.CertificateBuilder()
            .issuer_name(self._root.subject)
            .subject_name(x509.Name(subject))
            .public_key(key)
            .serial_number(int.from_bytes(os.urandom(16)) >> 1)
            .not_valid_before(now - BACKDATED)
            .not_valid_after(min(until, self._root.not_valid_after_utc))
            .add_extension(_usage(signing_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(authority, critical=False)
            .add_extension(x509.SubjectAlternativeName(names), critical=True)
        )
        return builder.sign(self._key, hashes.SHA256())


def load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """The key in ``path``, readable by us alone; a new one is made the first time."""
    if not path.exists():
        disk.write(path, _key_pem(ec.generate_private_key(ec.SECP256R1())), mode=0o600)
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{path} does not hold an EC key; remove it to have a new one made")
    return key


def _self_signed(
    key: ec.EllipticCurvePrivateKey, trust_domain: str, now: datetime.datetime
) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, trust_domain)])
    builder = (
        x509.CertificateBuilder()
        .issuer_name(name)
        .subject_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + ROOT_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_usage(signing_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return builder.sign(key, hashes.SHA256())


def _read_csr(pem: str) -> x509.CertificateSigningRequest:
    if len(pem) > MAX_CSR_BYTES:
        raise SigningRefused(f"CSR is longer than {MAX_CSR_BYTES} bytes")
    try:
        csr = x509.load_pem_x509_csr(pem.encode())
        authentic = csr.is_signature_valid
        key = csr.public_key()
    except (ValueError, UnsupportedAlgorithm) as why:
        raise SigningRefused(f"cannot parse the CSR: {why}") from why
    if not authentic:
        raise SigningRefused("the CSR's signature does not match its key")
    if not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey):
        raise SigningRefused(f"a key of type {type(key).__name__} is not supported")
    return csr


def _usage(*, signing_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signing_certificates,
        key_encipherment=not signing_certificates,
        key_cert_sign=signing_certificates,
        crl_sign=signing_certificates,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
