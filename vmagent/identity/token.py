"""The token that introduces this VM, and what can be known of it without asking anybody.

Owns:      reading the file afresh, and one sentence on what is wrong with it.
Does not:  verify the signature (the CA does); keep the token; ever print it.
Surprise:  a token that looks expired or meant for somebody else is still sent: our clock may be the wrong
           one, and a CA may take other audiences. What is known against it then explains the refusal.
           ``hopeless`` ones are not sent.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from vmagent.identity.spiffe import SpiffeId
from vmagent.runtime.clock import LATEST, rfc3339

AUDIENCE: Final = "istio-ca"
"""istiod's default TOKEN_AUDIENCES."""

LARGEST: Final = 64 * 1024
"""Bytes. Kubernetes' tokens are about 1 KB; gRPC servers take 8 to 16 KB of headers."""

CLOCKS: Final = 60.0
"""Seconds by which two clocks may differ before anybody is told."""

_BEGINNINGS: Final = ("nbf", "iat")
_TIMES: Final = ("exp", *_BEGINNINGS)

REMEDY: Final = "put a fresh istio-token there: `vmagent entry configure` (or istioctl's) writes one"

_HEADER_SAFE = re.compile(r"[A-Za-z0-9._~+/=-]+")
_SUBJECT = re.compile(r"system:serviceaccount:([^:]+):([^:]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """``problem`` is one sentence, or empty; ``hopeless`` means that no CA can say yes to it for the wanted
    name.
    """

    text: str = field(default="", repr=False)
    expires: float | None = None
    problem: str = ""
    hopeless: bool = False
    remedy: str = REMEDY

    @property
    def hint(self) -> str:
        return self.remedy if self.problem else ""


def read(path: Path, *, wanted: SpiffeId, now: float) -> Token:
    """Never raises: a missing token is no error while a certificate introduces us."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except FileNotFoundError:
        return Token(problem=f"there is no token: {path} does not exist", hopeless=True)
    except OSError as error:
        why = (error.strerror or type(error).__name__).lower()
        return Token(
            problem=f"the token {path} cannot be read: {why}",
            hopeless=True,
            remedy=f"the agent's user must be able to read it: chown istio-proxy {path} && chmod 0600 {path}",
        )
    return judge(data, f"the token {path}", wanted=wanted, now=now)


def judge(data: bytes, what: str, *, wanted: SpiffeId, now: float) -> Token:
    """``what`` begins each sentence."""
    text = data.decode("latin-1").strip()
    if not text:
        return Token(problem=f"{what} is empty", hopeless=True)
    if len(data) > LARGEST or not _HEADER_SAFE.fullmatch(text):
        return Token(
            problem=f"{what} is no token: it has characters or a length that none has", hopeless=True
        )
    claims = _claims(text)
    if claims is None:
        return Token(text=text, problem=f"{what} is not a JWT (three parts of base64url, divided by dots)")
    expires = _instant(claims.get("exp"))
    if why := _foreign(claims.get("sub"), wanted):
        return Token(text=text, expires=expires, problem=f"{what} {why}", hopeless=True)
    if why := _doubtful(claims, expires, now):
        return Token(text=text, expires=expires, problem=f"{what} {why}")
    return Token(text=text, expires=expires)


def _claims(text: str) -> Mapping[str, Any] | None:
    parts = text.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(
            base64.b64decode(parts[1] + "=" * (-len(parts[1]) % 4), altchars=b"-_", validate=True)
        )
    except (binascii.Error, ValueError, RecursionError):
        return None
    return claims if isinstance(claims, dict) else None


def _instant(claim: object) -> float | None:
    """Epoch seconds; None for what is none, as a number that nobody's calendar has."""
    if isinstance(claim, bool) or not isinstance(claim, int | float) or not 0 <= claim <= LATEST:
        return None
    return float(claim)


def _foreign(subject: object, wanted: SpiffeId) -> str:
    """istiod names the certificate after the token, so another one's token never becomes ours."""
    match = _SUBJECT.fullmatch(subject) if isinstance(subject, str) else None
    if match is None or match.groups() == (wanted.namespace, wanted.service_account):
        return ""
    return (
        f"belongs to service account {match[2]} in namespace {match[1]}; this VM is configured as service "
        f"account {wanted.service_account} in namespace {wanted.namespace} (SERVICE_ACCOUNT, POD_NAMESPACE)"
    )


def _doubtful(claims: Mapping[str, Any], expires: float | None, now: float) -> str:
    for name in _TIMES:
        if isinstance(claims.get(name), int | float) and _instant(claims[name]) is None:
            return f"says of {name} what is no time: it must be seconds since 1970"
    if expires is not None and expires <= now:
        return f"expired at {rfc3339(expires)}; the clock here says {rfc3339(now)}"
    begins = max((at for at in map(_instant, map(claims.get, _BEGINNINGS)) if at is not None), default=now)
    if begins > now + CLOCKS:
        return f"is valid only from {rfc3339(begins)}; the clock here says {rfc3339(now)} (timedatectl)"
    named = claims.get("aud", [])
    audiences = [named] if isinstance(named, str) else named
    if isinstance(audiences, list) and AUDIENCE not in audiences:
        said = ", ".join(str(a)[:100] for a in audiences[:5]) or "nobody"
        return f"is meant for {said}; a CA of Istio takes tokens meant for {AUDIENCE}"
    return ""
