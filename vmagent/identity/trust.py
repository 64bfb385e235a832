"""The roots by which we recognise the control plane, read afresh each time so that a repaired file heals by
itself.
"""

import base64
import binascii
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from vmagent.errors import Misconfigured

SYSTEM_BUNDLES: Final = (
    Path("/etc/ssl/certs/ca-certificates.crt"),
    Path("/etc/pki/tls/certs/ca-bundle.crt"),
    Path("/etc/ssl/ca-bundle.pem"),
    Path("/etc/pki/tls/cacert.pem"),
    Path("/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem"),
    Path("/etc/ssl/cert.pem"),
)
"""Where distributions keep their roots, in the order Istio looks."""

LARGEST: Final = 4 << 20
"""Bytes. Bundles of distributions are about 250 KB."""

REMEDY: Final = (
    "put the mesh's root-cert.pem there, as `vmagent entry configure` or istioctl's twin of it writes one"
)


_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----\r?\n(.*?)-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Roots:
    """At least one certificate, each of them whole."""

    pem: bytes = field(repr=False)
    path: Path


def read(path: Path | None) -> Roots:
    """None: the operating system's bundle. Raises Misconfigured naming the file and the remedy."""
    if path is None:
        path = next((bundle for bundle in SYSTEM_BUNDLES if bundle.is_file()), None)
        if path is None:
            raise Misconfigured("the system's root certificates are to be used, and this machine has none")
    try:
        with path.open("rb") as file:
            pem = file.read(LARGEST)
    except FileNotFoundError:
        raise Misconfigured(f"the root certificate {path} does not exist", hint=REMEDY) from None
    except OSError as error:
        why = (error.strerror or type(error).__name__).lower()
        raise Misconfigured(
            f"the root certificate {path} cannot be read: {why}",
            hint="the agent's user must be able to read it",
        ) from None
    _check(pem, path)
    return Roots(pem=pem, path=path)


def _check(pem: bytes, path: Path) -> None:
    """By hand: OpenSSL, once used, stays in memory (1.4 MB), and gRPC takes damage for an unknown issuer."""
    if not pem.strip():
        raise Misconfigured(f"the root certificate {path} is empty", hint=REMEDY)
    blocks = _BLOCK.findall(pem)
    if not blocks or len(blocks) != pem.count(b"-----BEGIN ") or not all(map(_whole, blocks)):
        raise damaged(path)


def _whole(block: bytes) -> bool:
    """Base64 of one DER sequence (X.690, 8.1.3) that is as long as it says."""
    try:
        der = base64.b64decode(b"".join(block.split()), validate=True)
    except binascii.Error:
        return False
    if len(der) < 4 or der[0] != 0x30 or not 0x81 <= der[1] <= 0x83:
        return False
    octets = der[1] - 0x80
    return len(der) == 2 + octets + int.from_bytes(der[2 : 2 + octets])


def damaged(path: Path) -> Misconfigured:
    return Misconfigured(
        f"the root certificate {path} is damaged: it is not whole PEM certificates", hint=REMEDY
    )
