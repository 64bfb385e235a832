"""The child that makes keys and has certificates judged (judgement.py); with it comes ``cryptography``.

Owns:      private keys until their certificate is verified.
Does not:  talk to anybody but its parent (keys.py), write files, log, live longer than one certificate's
           making, or one look at certificates that others made.
Surprise:  never imported by the daemon, only started by it: cryptography alone would cost it 13 MB for good.

Protocol: one JSON object per line on standard input, one per line back. A key leaves only inside the answer
that also holds its verified chain. End of input ends the process.
"""

import json
import resource
import sys
from collections.abc import Callable
from typing import Any, ClassVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from vmagent.errors import Refused
from vmagent.identity import judgement
from vmagent.identity.judgement import (
    Key,
    described,
    first_uri,
    issuer_of,
    load_key,
    parse,
    root_named,
    verify,
)


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
        """The same judgement for a credential that was stored before. A root file that was replaced since
        does not make it a bad one: the roots that it came with stand at the end of its chain, and count.
        """
        certificates, anchors = parse("the stored chain", chain), parse("the stored root", root)
        loaded = load_key("the stored key", key)
        came_with = [each for each in certificates[1:] if each.subject == each.issuer and each not in anchors]
        verify(loaded, certificates, [*anchors, *came_with], spiffe=spiffe, now=now)
        roots = "".join([root if root.endswith("\n") else f"{root}\n", *map(judgement.pem, came_with)])
        return described(certificates[0]) | {"key": key, "chain": chain, "root": roots if came_with else root}

    def compare(self, leaf: str, root: str) -> dict[str, Any]:
        """For a message only: who signed ``leaf``, and what ``root`` holds."""
        signed = parse("the server's certificate", leaf)[0]
        roots = parse("the root", root)
        more = f" and {len(roots) - 1} more" if len(roots) > 1 else ""
        return {"issuer": issuer_of(signed), "root": f"{root_named(roots[0])}{more}"}

    def pair(self, chain: str, key: str, chain_from: str, key_from: str) -> dict[str, Any]:
        """Of files that others look after: ``..._from`` are their names, for the sentences."""
        leaf = judgement.pair(chain, key, chain_from, key_from)
        return described(leaf) | {"uri": first_uri(leaf)}

    def bundle(self, pem: str, pem_from: str) -> dict[str, Any]:
        """Of roots in such a file; those that are damaged are left out and counted."""
        kept, dropped = judgement.bundle(pem, pem_from)
        return {"pem": kept, "dropped": dropped}

    _VERBS: ClassVar[dict[str, Callable[..., dict[str, Any]]]] = {
        "request": request,
        "accept": accept,
        "check": check,
        "compare": compare,
        "pair": pair,
        "bundle": bundle,
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


if __name__ == "__main__":
    main()
