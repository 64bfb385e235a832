"""The roots by which we recognise the control plane, read afresh each time so that a repaired file heals by
itself.
"""

import ssl
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Roots:
    """At least one certificate, each of them readable."""

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
    """By the TLS library of Python itself: gRPC's would take the damage for an unknown issuer."""
    if not pem.strip():
        raise Misconfigured(f"the root certificate {path} is empty", hint=REMEDY)
    begun, ended = pem.count(b"-----BEGIN CERTIFICATE-----"), pem.count(b"-----END CERTIFICATE-----")
    try:
        if not begun == ended > 0:
            raise ValueError("a certificate is cut short")
        context(pem)
    except (ssl.SSLError, ValueError):
        raise Misconfigured(
            f"the root certificate {path} is damaged: it is not whole PEM certificates", hint=REMEDY
        ) from None


def context(pem: bytes) -> ssl.SSLContext:
    """A client's context that trusts exactly ``pem``. Raises ssl.SSLError or ValueError for damaged PEM."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.set_alpn_protocols(["h2"])
    made.load_verify_locations(cadata=pem.decode("ascii", errors="ignore"))
    return made
