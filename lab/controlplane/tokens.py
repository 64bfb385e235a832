"""Service account tokens: JWTs with a real signature (ES256), as the Kubernetes API hands them out.

Owns the claims and their verification. Which service accounts exist is the caller's knowledge (``Exists``);
so is what becomes of a refusal: a client only ever learns that it was refused, the reason goes to the
server's log.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

MAX_TOKEN_BYTES: Final = 16 * 1024
"""A service account token has about 1 KiB; a larger one is not parsed at all."""

_COORDINATE: Final = 32
"""Bytes of r and of s in an ES256 signature (RFC 7518, 3.4)."""


class TokenRefused(Exception):
    """The message is the reason, for the server's log only. It never holds any part of the token."""


@dataclass(frozen=True, slots=True, order=True)
class ServiceAccount:
    namespace: str
    name: str

    @property
    def subject(self) -> str:
        return f"system:serviceaccount:{self.namespace}:{self.name}"

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


Exists = Callable[[ServiceAccount], str]
"""Why the account cannot be used ("" if it can)."""


class TokenIssuer:
    """Signs and verifies. Instants are seconds since the epoch."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, issuer: str) -> None:
        self._key = key
        self._issuer = issuer
        public = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self._key_id = _b64(hashlib.sha256(public).digest())

    def issue(self, account: ServiceAccount, *, audiences: tuple[str, ...], ttl: int, now: int) -> str:
        claims = {
            "iss": self._issuer,
            "aud": list(audiences),
            "sub": account.subject,
            "iat": now,
            "nbf": now,
            "exp": now + ttl,
            "kubernetes.io": {"namespace": account.namespace, "serviceaccount": {"name": account.name}},
        }
        head = _encode({"alg": "ES256", "kid": self._key_id, "typ": "JWT"})
        signed = f"{head}.{_encode(claims)}"
        r, s = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{signed}.{_b64(r.to_bytes(_COORDINATE) + s.to_bytes(_COORDINATE))}"

    def verify(self, token: str, *, audience: str, now: int, exists: Exists) -> ServiceAccount:
        """Raises TokenRefused. The signature is checked before any claim is believed."""
        claims = self._authentic_claims(token)
        if claims.get("iss") != self._issuer:
            raise TokenRefused(f"issuer is {claims.get('iss')!r}, expected {self._issuer!r}")
        audiences = claims.get("aud")
        listed = [audiences] if isinstance(audiences, str) else audiences
        if not isinstance(listed, list) or audience not in listed:
            raise TokenRefused(f"audience is {audiences!r}, expected {audience!r}")
        expires, not_before = claims.get("exp"), claims.get("nbf", 0)
        if not isinstance(expires, int) or not isinstance(not_before, int):
            raise TokenRefused("exp or nbf is not a number")
        if now >= expires:
            raise TokenRefused(f"expired {now - expires} s ago")
        if now < not_before:
            raise TokenRefused(f"not valid for another {not_before - now} s")
        account = _subject(claims.get("sub"))
        if why := exists(account):
            raise TokenRefused(why)
        return account

    def _authentic_claims(self, token: str) -> dict[str, Any]:
        if len(token) > MAX_TOKEN_BYTES:
            raise TokenRefused(f"longer than {MAX_TOKEN_BYTES} bytes")
        parts = token.split(".")
        if len(parts) != 3:
            raise TokenRefused("not a JWT: expected three parts")
        head = _decode_object(parts[0])
        if head.get("alg") != "ES256":
            raise TokenRefused(f"algorithm is {head.get('alg')!r}, expected 'ES256'")
        if head.get("kid") != self._key_id:
            raise TokenRefused("signed with a key that is not ours")
        signature = _unb64(parts[2])
        if len(signature) != 2 * _COORDINATE:
            raise TokenRefused("signature has a wrong length")
        r, s = (int.from_bytes(signature[at : at + _COORDINATE]) for at in (0, _COORDINATE))
        try:
            self._key.public_key().verify(
                encode_dss_signature(r, s), f"{parts[0]}.{parts[1]}".encode(), ec.ECDSA(hashes.SHA256())
            )
        except InvalidSignature:
            raise TokenRefused("signature does not match") from None
        return _decode_object(parts[1])


def _subject(sub: object) -> ServiceAccount:
    match str(sub).split(":"):
        case ["system", "serviceaccount", namespace, name] if namespace and name:
            return ServiceAccount(namespace, name)
        case _:
            raise TokenRefused(f"subject {sub!r} is not a service account")


def _encode(value: dict[str, Any]) -> str:
    return _b64(json.dumps(value, separators=(",", ":")).encode())


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _unb64(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise TokenRefused("not base64url") from None


def _decode_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(_unb64(text))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError):
        raise TokenRefused("a part is not JSON") from None
    if not isinstance(value, dict):
        raise TokenRefused("a part is not a JSON object")
    return value
