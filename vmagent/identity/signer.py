"""The child that makes keys and judges certificates; the only module that imports ``cryptography``.

Owns:      private keys until their certificate is verified; what counts as a valid credential.
Does not:  talk to anybody but its parent (keys.py), write files, log, live longer than one certificate's
           making.
Surprise:  never imported by the daemon, only started by it: cryptography alone would cost it 13 MB for good.

Protocol: one JSON object per line on standard input, one per line back. A key leaves only inside the answer
that also holds its verified chain. End of input ends the process.
"""

import json
import resource
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
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


def main() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold the key
    session = Session()
    for line in sys.stdin.buffer:
        request = json.loads(line)
        try:
            answer = session.answer(request.pop("do"), request)
        except Refused as no:
            answer = {"refused": str(no), "hint": no.hint}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


class Session:
    """At most one pending key, made by ``request`` and given away by ``accept``."""

    def __init__(self) -> None:
        self._key: Key | None = None
        self._pkcs8 = False

    def answer(self, do: str, asked: dict[str, Any]) -> dict[str, Any]:
        return self._VERBS[do](self, **asked)

    def request(self, spiffe: str, algorithm: str, rsa_bits: int, pkcs8: bool) -> dict[str, Any]:
        self._key, self._pkcs8 = make_key(algorithm, rsa_bits), pkcs8
        return {"csr": make_csr(self._key, spiffe).decode()}

    def accept(self, chain: list[str], spiffe: str, now: float) -> dict[str, Any]:
        """``chain`` as the CA sends it: leaf, intermediates, root bundle."""
        assert self._key is not None, "request comes first"
        *given, roots = (one if one.endswith("\n") else one + "\n" for one in chain)
        certificates = parse("the CA's certificate chain", "".join(given))
        anchors = parse("the CA's root", roots)
        key, self._key = self._key, None
        verify(key, certificates, anchors, spiffe=spiffe, now=now)
        pem = key_pem(key, pkcs8=self._pkcs8).decode()
        return described(certificates[0]) | {"key": pem, "chain": "".join((*given, roots)), "root": roots}

    def check(self, key: str, chain: str, root: str, spiffe: str, now: float) -> dict[str, Any]:
        """The same judgement for a credential that was stored before."""
        certificates, anchors = parse("the stored chain", chain), parse("the stored root", root)
        try:
            loaded = load_pem_private_key(key.encode(), None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise Refused("the stored key is damaged, or of a kind we do not know") from None
        if not isinstance(loaded, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
            raise Refused("the stored key is neither EC nor RSA")
        verify(loaded, certificates, anchors, spiffe=spiffe, now=now)
        return described(certificates[0]) | {"key": key, "chain": chain, "root": root}

    def compare(self, leaf: str, root: str) -> dict[str, Any]:
        """For a message only: who signed ``leaf``, and what ``root`` holds."""
        signed = parse("the server's certificate", leaf)[0]
        roots = parse("the root", root)
        more = f" and {len(roots) - 1} more" if len(roots) > 1 else ""
        return {"issuer": issuer_of(signed), "root": f"{root_named(roots[0])}{more}"}

    _VERBS: ClassVar[dict[str, Callable[..., dict[str, Any]]]] = {
        "request": request,
        "accept": accept,
        "check": check,
        "compare": compare,
    }


# --- making
# ---------------------------------------------------------------------------------------------------


def make_key(algorithm: str, rsa_bits: int) -> Key:
    if algorithm == "RSA":
        return rsa.generate_private_key(public_exponent=65537, key_size=rsa_bits)
    return ec.generate_private_key({"P256": ec.SECP256R1(), "P384": ec.SECP384R1()}[algorithm])


def make_csr(key: Key, spiffe: str) -> bytes:
    """Empty subject, hence a critical SAN (RFC 5280, 4.2.1.6): who we are is the SPIFFE name alone."""
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(spiffe)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.add_extension(names, critical=True).sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def key_pem(key: Key, *, pkcs8: bool) -> bytes:
    form = PrivateFormat.PKCS8 if pkcs8 else PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(Encoding.PEM, form, NoEncryption())


# --- judging
# --------------------------------------------------------------------------------------------------


def parse(what: str, pem: str) -> list[x509.Certificate]:
    try:
        found = x509.load_pem_x509_certificates(pem.encode())
    except ValueError:
        raise Refused(f"{what} holds no certificate, or a damaged one") from None
    if len(found) > MAX_CERTIFICATES:
        raise Refused(f"{what} holds {len(found)} certificates; more than {MAX_CERTIFICATES} is not credible")
    return found


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


if __name__ == "__main__":
    main()
