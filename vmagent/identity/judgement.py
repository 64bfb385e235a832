"""What counts as a good certificate, and the words for what is wrong with one. Pure.

Owns:      parsing, the check of key, leaf and chain, the checks of what lies in files; names of certificates.
Does not:  make keys or talk to anybody (signer.py). Only the signer child imports this: with it comes
           ``cryptography``.
"""

import re
import time
from collections.abc import Sequence
from typing import Any, Final, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID

from vmagent.errors import Refused

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
Certificates = Sequence[x509.Certificate]
Kind = TypeVar("Kind", bound=x509.ExtensionType)

MAX_CERTIFICATES = 200
"""Certificates in one chain and its roots together; an operating system's bundle has about 150."""

CRITICAL_WE_CHECK = frozenset(
    {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    }
)
BOTH_ENDS = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
"""Envoy shows the one certificate to clients and to servers."""

CLOCK_HINT = "compare the clocks of this machine and of the CA (timedatectl)"

_BLOCK: Final = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


def parse(what: str, pem: str) -> list[x509.Certificate]:
    try:
        found = x509.load_pem_x509_certificates(pem.encode())
    except ValueError:
        raise Refused(f"{what} holds no certificate, or a damaged one") from None
    if len(found) > MAX_CERTIFICATES:
        raise Refused(f"{what} holds {len(found)} certificates; more than {MAX_CERTIFICATES} is not credible")
    return found


def load_key(what: str, pem: str) -> Key:
    try:
        loaded = load_pem_private_key(pem.encode(), None)
    except TypeError:
        hint = "store it without a passphrase: openssl pkey -in OLD -out NEW"
        raise Refused(f"{what} is encrypted, and nobody can be asked for its passphrase", hint=hint) from None
    except (ValueError, UnsupportedAlgorithm):
        raise Refused(f"{what} is damaged, or of a kind we do not know") from None
    if not isinstance(loaded, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise Refused(f"{what} is neither EC nor RSA")
    return loaded


def pair(chain: str, key: str, chain_from: str, key_from: str) -> x509.Certificate:
    """The leaf of a chain that the key fits. Whether it is valid now is not asked: Envoy loads it all the
    same, and its peers judge. Raises Refused, naming the file.
    """
    leaf = parse(chain_from, chain)[0]
    if public(load_key(key_from, key).public_key()) != public(leaf.public_key()):
        raise Refused(
            f"the key {key_from} does not belong to the certificate in {chain_from}, {named(leaf)}",
            hint="put both files of one pair there; the first certificate must be the one of the key",
        )
    return leaf


def bundle(pem: str, pem_from: str) -> tuple[str, int]:
    """The certificates that are whole, and how many are not. Raises Refused if none is."""
    found = _BLOCK.findall(pem)
    kept = [block for block in found if _whole(block)]
    if not kept:
        raise Refused(f"{pem_from} holds no certificate, or damaged ones only")
    if len(kept) > MAX_CERTIFICATES:
        raise Refused(
            f"{pem_from} holds {len(kept)} certificates; more than {MAX_CERTIFICATES} is not credible"
        )
    return "".join(f"{block}\n" for block in kept), pem.count("-----BEGIN CERTIFICATE") - len(kept)


def _whole(block: str) -> bool:
    try:
        x509.load_pem_x509_certificate(block.encode())
    except ValueError:
        return False
    return True


def first_uri(leaf: x509.Certificate) -> str:
    """A SPIFFE name, usually; empty where the certificate has none, or cannot be read so far."""
    try:
        san = extension(leaf, x509.SubjectAlternativeName)
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        return ""
    uris = san.get_values_for_type(x509.UniformResourceIdentifier) if san else []
    return uris[0] if uris else ""


def verify(
    key: Key,
    chain: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
    *,
    spiffe: str,
    now: float,
) -> None:
    """Raises Refused with the first thing that is wrong. ``chain`` begins with the leaf; the rest in any
    order.
    """
    leaf = chain[0]
    if public(key.public_key()) != public(leaf.public_key()):
        raise Refused(f"certificate {named(leaf)} does not belong to our key")
    try:
        check_leaf(leaf, spiffe, now)
        check_path(leaf, chain[1:], anchors, now)
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as malformed:
        raise Refused(f"certificate {named(leaf)} or its chain is malformed: {malformed}") from None


def check_leaf(leaf: x509.Certificate, spiffe: str, now: float) -> None:
    if why := not_now(leaf, now):
        raise Refused(why, hint=CLOCK_HINT)
    san = extension(leaf, x509.SubjectAlternativeName)
    uris = san.get_values_for_type(x509.UniformResourceIdentifier) if san else []
    if uris != [spiffe]:
        raise Refused(
            f"the certificate is for {', '.join(uris) or 'no SPIFFE name'}, not for {spiffe}",
            hint="the CA names whom the token belongs to: POD_NAMESPACE, SERVICE_ACCOUNT and TRUST_DOMAIN in "
            "cluster.env must say the same as the token",
        )
    uses = extension(leaf, x509.ExtendedKeyUsage)
    if (
        uses is not None
        and not set(uses) >= BOTH_ENDS
        and ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE not in uses
    ):
        raise Refused(f"certificate {named(leaf)} is not meant for both ends of TLS (extended key usage)")
    strange = [e.oid.dotted_string for e in leaf.extensions if e.critical and e.oid not in CRITICAL_WE_CHECK]
    if strange:
        raise Refused(f"certificate {named(leaf)} demands what we do not know: {', '.join(strange)}")


def check_path(
    leaf: x509.Certificate,
    between: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
    now: float,
) -> None:
    """Breadth first, each certificate once: cross-signed chains work, and a hostile heap of them stays
    quadratic.
    """
    queue, seen, why = [(leaf, 0)], {leaf}, ""
    for cert, authorities in queue:
        for issuer in (*anchors, *between):
            if issuer in seen or issuer.subject != cert.issuer:
                continue
            flaw = not_signed(cert, issuer) or not_an_authority(issuer, authorities, now)
            if flaw:
                why = why or flaw
            elif issuer in anchors:
                return
            else:
                seen.add(issuer)
                queue.append((issuer, authorities + 1))
    top = queue[-1][0]
    roots = ", ".join(root_named(a) for a in anchors[:3])
    raise Refused(f"the chain ends with {issuer_of(top)}; the root is {roots}{'; ' + why if why else ''}")


def not_signed(cert: x509.Certificate, issuer: x509.Certificate) -> str:
    try:
        cert.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm):
        return f"{named(cert)} is not signed by the key of {named(issuer)}"
    return ""


def not_an_authority(cert: x509.Certificate, below: int, now: float) -> str:
    """``below`` counts the authorities between this one and the leaf (RFC 5280, 4.2.1.9)."""
    limits, usage = extension(cert, x509.BasicConstraints), extension(cert, x509.KeyUsage)
    if limits is None or not limits.ca:
        return f"{named(cert)} is no certificate authority"
    if limits.path_length is not None and below > limits.path_length:
        return f"{named(cert)} allows {limits.path_length} authorities below it, the chain has {below}"
    if usage is not None and not usage.key_cert_sign:
        return f"{named(cert)} may not sign certificates"
    return not_now(cert, now)


def not_now(cert: x509.Certificate, now: float) -> str:
    start, end = cert.not_valid_before_utc.timestamp(), cert.not_valid_after_utc.timestamp()
    if now < start:
        return (
            f"certificate {named(cert)} is valid only from {stamp(start)}; the clock here says {stamp(now)}"
        )
    if now > end:
        return f"certificate {named(cert)} expired at {stamp(end)}; the clock here says {stamp(now)}"
    return ""


# --- reading and saying -------------------------------------------------------------------------------------


def extension(cert: x509.Certificate, kind: type[Kind]) -> Kind | None:
    try:
        return cert.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def described(leaf: x509.Certificate) -> dict[str, Any]:
    start, end = leaf.not_valid_before_utc, leaf.not_valid_after_utc
    return {"not_before": start.timestamp(), "not_after": end.timestamp()}


def pem(cert: x509.Certificate) -> str:
    return cert.public_bytes(Encoding.PEM).decode()


def public(key: Any) -> bytes:
    return bytes(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def named(cert: x509.Certificate) -> str:
    subject = cert.subject.rfc4514_string() or "without a subject"
    return f"{subject} (SHA-256 {cert.fingerprint(hashes.SHA256()).hex()[:16]}…)"


def issuer_of(cert: x509.Certificate) -> str:
    """Most roots of Istio have the same subject; the key's identifier tells them apart."""
    name = cert.issuer.rfc4514_string() or "an issuer without a name"
    signed = extension(cert, x509.AuthorityKeyIdentifier)
    key = signed.key_identifier if signed else None
    return f"{name} (key {key.hex()[:16]}…)" if key else name


def root_named(cert: x509.Certificate) -> str:
    own = extension(cert, x509.SubjectKeyIdentifier)
    return f"{named(cert)[:-1]}, key {own.digest.hex()[:16]}…)" if own else named(cert)


def stamp(epoch: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch))
