"""Where the control plane is, how to know it, and what to show it.

Owns:      the precedence of addresses and root certificates, and the names that certificates must carry.
Does not:  open certificates or the token (load.py looks at the root, identity at the token).
Surprise:  there is one address: where only the mesh file names istiod, the CA is there too, and ISTIOD_SAN
           holds for both. Istio's start script leaves the CA where it was and forgets ISTIOD_SAN.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vmagent.config import settings
from vmagent.config.layers import Environment
from vmagent.config.merge import Merged
from vmagent.config.model import Address, ControlPlane, Credentials, KeyKind, Origin, Upstream, Value

SYSTEM_STORE = "SYSTEM"
PLAINTEXT_CA_PORT = 15010
"""istiod's port without TLS: the only switch Istio has for the CA."""

DEFAULT_NAME = "istiod.istio-system.svc"
"""What istiod's certificate says when it is reached through a forwarded port of localhost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Roots:
    xds: Path | None
    ca: Path | None


def rooted(base: Path, text: str) -> Path:
    """Istio's relative paths (``./etc/certs``) start at ``base``: ``/``, where systemd starts services."""
    return base / text


def control_plane(environment: Environment, merged: Merged, roots: Roots) -> ControlPlane:
    discovery = Address.parse(merged.text("discoveryAddress"))
    authority = environment.get(settings.CA_ADDR) or discovery
    return ControlPlane(
        xds=Upstream(
            address=discovery,
            server_name=_server_name(environment, discovery),
            tls=merged.text("controlPlaneAuthPolicy") != "NONE",
            root_cert=roots.xds,
            headers=_headers(environment, "XDS_HEADER_"),
        ),
        ca=Upstream(
            address=authority,
            server_name=_server_name(environment, authority),
            tls=authority.port != PLAINTEXT_CA_PORT,
            root_cert=roots.ca,
            headers=_headers(environment, "CA_HEADER_"),
        ),
        keepalive_interval=environment.get(settings.KEEPALIVE_INTERVAL),
        keepalive_timeout=environment.get(settings.KEEPALIVE_TIMEOUT),
    )


def ca_origin(environment: Environment, merged: Merged) -> tuple[Value, ...]:
    """For ``config explain CA_ADDR``: who said where the CA is."""
    if environment.is_set(settings.CA_ADDR):
        return environment.values("CA_ADDR")
    follows = merged.origins["defaultConfig.discoveryAddress"][0]
    return (
        Value(
            text=follows.text,
            origin=Origin(kind="derived", where=f"the discovery address, from {follows.origin}"),
        ),
    )


def _server_name(environment: Environment, address: Address) -> str:
    wanted = environment.get(settings.ISTIOD_SAN)
    return wanted or (DEFAULT_NAME if "localhost" in address.host else address.host)


def _headers(environment: Environment, prefix: str) -> tuple[tuple[str, str], ...]:
    """gRPC metadata; HTTP/2 wants names in lower case."""
    found: list[tuple[str, str]] = []
    for name in environment.names(prefix):
        key, text = name.removeprefix(prefix).lower(), environment.text(name)
        if not key.replace("-", "").replace("_", "").replace(".", "").isalnum() or not text.isprintable():
            environment.problem(name, "not a header", f"write {prefix}NAME=VALUE in printable characters")
        else:
            found.append((key, text))
    return tuple(found)


def roots(environment: Environment, base: Path, present: Callable[[Path], bool]) -> Roots:
    """The files to verify istiod with, in Istio's order of search. ``present``: is it a regular file?"""
    usual = base / "etc/certs/root-cert.pem"
    provided = environment.get(settings.PROV_CERT)
    last = (
        rooted(base, provided) / "root-cert.pem" if provided else base / "var/run/secrets/istio/root-cert.pem"
    )
    xds, authority = environment.get(settings.XDS_ROOT_CA), environment.get(settings.CA_ROOT_CA)
    custom = environment.get(settings.CERT_PROVIDER) == "custom"
    return Roots(
        xds=_explicit(base, xds) if xds else usual if present(usual) else last,
        ca=_explicit(base, authority) if authority else usual if custom else last,
    )


def _explicit(base: Path, text: str) -> Path | None:
    return None if text == SYSTEM_STORE else rooted(base, text)


def credentials(environment: Environment, base: Path) -> Credentials:
    provided, output = environment.get(settings.PROV_CERT), environment.get(settings.OUTPUT_CERTS)
    run = base / "var/run/secrets"
    return Credentials(
        token=run / "tokens/istio-token",
        ttl=environment.get(settings.SECRET_TTL),
        grace_ratio=environment.get(settings.GRACE_RATIO),
        grace_jitter=environment.get(settings.GRACE_JITTER),
        key=_key(environment),
        output_dir=rooted(base, output) if output else None,
        prov_dir=rooted(base, provided) if provided else None,
        cert_signer=environment.get(settings.CERT_SIGNER),
        sds_socket=run / "workload-spiffe-uds" / environment.get(settings.SOCKET_FILE),
    )


def _key(environment: Environment) -> KeyKind:
    """EC unless RSA is asked for: by an empty ECC_SIGNATURE_ALGORITHM, or by WORKLOAD_RSA_KEY_SIZE alone."""
    algorithm = environment.get(settings.ECC)
    sized = environment.is_set(settings.RSA_BITS) and not environment.values("ECC_SIGNATURE_ALGORITHM")
    return KeyKind(
        algorithm="RSA" if not algorithm or sized else "EC",
        curve=environment.get(settings.ECC_CURVE),
        rsa_bits=environment.get(settings.RSA_BITS),
        pkcs8=environment.get(settings.PKCS8),
    )
