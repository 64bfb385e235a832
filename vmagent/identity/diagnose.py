"""Why a control plane could not be reached: gRPC says ``UNAVAILABLE``, an operator needs the file to edit.

Owns:      one short connection by Python's own TLS after gRPC's has failed, and the sentence it leads to.
Does not:  run on the way to success; send a token or a certificate of ours; retry.
Surprise:  it may find nothing wrong (None): the peer may be back, or may object to our client certificate.
           With this comes OpenSSL, so it is imported where something has failed.
"""

import asyncio
import os
import socket
import ssl
from typing import Final

from vmagent.errors import Misconfigured, Unavailable, VmagentError
from vmagent.identity import keys, trust
from vmagent.identity.endpoint import Endpoint
from vmagent.identity.trust import Roots
from vmagent.runtime import openssl

PATIENCE: Final = 3.0
"""Seconds for each step: the answer is for a person who reads a log, gRPC has already waited once."""

# X509_V_ERR_* of OpenSSL's x509_vfy.h: numbers that are part of its API.
_NOT_YET_VALID, _EXPIRED = 9, 10
_NAME_MISMATCHES = frozenset({62, 64})
_UNKNOWN_ISSUER = frozenset({2, 7, 18, 19, 20, 21, 24, 26, 27, 28, 30})

ROOT_REMEDY: Final = (
    "take the root again from the control plane that answers there (`vmagent entry configure`, or config map "
    "istio-ca-root-cert), or correct its address"
)


async def why_unreachable(what: str, endpoint: Endpoint, roots: Roots | None) -> VmagentError | None:
    """``what`` begins the sentence and names the peer, such as ``CA``; without ``roots`` TLS is not tried."""
    peer = f"{what} {endpoint}"
    try:
        async with asyncio.timeout(PATIENCE):
            addresses = await asyncio.get_running_loop().getaddrinfo(
                endpoint.host, endpoint.port, type=socket.SOCK_STREAM
            )
    except TimeoutError:
        return Unavailable(
            f"{peer}: looking up {endpoint.host} took more than {PATIENCE:g} s", hint=_NAME_HINT
        )
    except socket.gaierror as error:
        return Unavailable(
            f"{peer}: the name {endpoint.host} does not resolve ({error.strerror})", hint=_NAME_HINT
        )
    try:
        await _connect(endpoint, None)
    except TimeoutError:
        return Unavailable(
            f"{peer} does not answer: no connection to {addresses[0][4][0]} within {PATIENCE:g} s",
            hint="is there a firewall or a route missing in between?",
        )
    except OSError as error:
        return Unavailable(
            f"{peer}: {_words(error)}", hint="is the control plane running, and is the port right?"
        )
    return None if roots is None else await _why_not_trusted(peer, endpoint, roots)


_NAME_HINT: Final = "the hosts file that `vmagent entry configure` writes belongs into /etc/hosts"


async def _why_not_trusted(peer: str, endpoint: Endpoint, roots: Roots) -> VmagentError | None:
    try:
        await _connect(endpoint, trusting(roots))
    except Misconfigured as damaged:
        return damaged
    except ssl.SSLCertVerificationError as error:
        return await _explain(peer, endpoint, roots, error)
    except ssl.SSLError as error:
        reason = (error.reason or "unknown error").lower().replace("_", " ")
        return Unavailable(
            f"{peer} does not speak TLS as expected: {reason}", hint="is the port right (15012)?"
        )
    except TimeoutError:
        return Unavailable(
            f"{peer} takes connections but did not finish a TLS handshake within {PATIENCE:g} s"
        )
    except OSError as error:
        return Unavailable(
            f"{peer} ended the TLS handshake: {_words(error)}",
            hint="is the port right (15012), and does what listens there speak TLS 1.2 or later?",
        )
    return None


async def _explain(
    peer: str, endpoint: Endpoint, roots: Roots, error: ssl.SSLCertVerificationError
) -> VmagentError:
    code = error.verify_code
    if code in _NAME_MISMATCHES:
        names = ", ".join(await _names(endpoint, roots)) or "nobody"
        return Misconfigured(
            f"{peer} presents a certificate for {names}; its server name should be {endpoint.tls_name}",
            hint="set the server name (ISTIOD_SAN), or the address, to one of these names",
        )
    if code in _UNKNOWN_ISSUER:
        issuer, root = await _compare(endpoint, roots)
        return Misconfigured(
            f"{roots.path} does not match {peer}: the server's certificate was signed by {issuer}; "
            f"the file holds {root}",
            hint=ROOT_REMEDY,
        )
    if code in (_NOT_YET_VALID, _EXPIRED):
        state = "has expired" if code == _EXPIRED else "is not valid yet"
        return Unavailable(
            f"{peer}: its certificate, or the root in {roots.path}, {state} by the clock of this machine",
            hint="compare the clocks (timedatectl)",
        )
    return Unavailable(f"{peer}: its certificate is not acceptable: {error.verify_message}")


async def _connect(endpoint: Endpoint, context: ssl.SSLContext | None) -> "ssl.SSLObject | None":
    """Open and close. What remains is what TLS learned about the peer."""
    async with asyncio.timeout(PATIENCE):
        _, writer = await asyncio.open_connection(
            endpoint.host,
            endpoint.port,
            ssl=context,
            server_hostname=endpoint.tls_name if context else None,
        )
    found: ssl.SSLObject | None = writer.get_extra_info("ssl_object")
    writer.transport.abort()
    return found


async def _names(endpoint: Endpoint, roots: Roots) -> list[str]:
    """Whom the certificate names; the chain is known to be good."""
    context = trusting(roots)
    context.check_hostname = False
    try:
        peer = await _connect(endpoint, context)
    except OSError:
        return []
    certificate = peer.getpeercert() if peer else None
    found = (certificate or {}).get("subjectAltName", ())
    return [str(pair[1]) for pair in found if isinstance(pair, tuple)]


async def _compare(endpoint: Endpoint, roots: Roots) -> tuple[str, str]:
    context = _context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        peer = await _connect(endpoint, context)
        leaf = peer.getpeercert(binary_form=True) if peer else None
        if leaf is not None:
            async with keys.signer() as signer:
                pem = ssl.DER_cert_to_PEM_cert(leaf)
                return await signer.compare(leaf_pem=pem, root_pem=roots.pem)
    except (OSError, VmagentError):
        pass  # this is about a better sentence; the mismatch itself is certain
    return "somebody else", "another root"


def trusting(roots: Roots) -> ssl.SSLContext:
    """A client's context for exactly ``roots``. Raises Misconfigured if one of them is damaged."""
    context = _context()
    try:
        context.load_verify_locations(cadata=roots.pem.decode("ascii", errors="ignore"))
    except (ssl.SSLError, ValueError):
        raise trust.damaged(roots.path) from None
    return context


def _context() -> ssl.SSLContext:
    openssl.lend_to_asyncio()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    return context


def _words(error: OSError) -> str:
    """asyncio joins the failures of several addresses into one error without a number; its text then must
    do."""
    return os.strerror(error.errno).lower() if error.errno else str(error) or "it hung up"
