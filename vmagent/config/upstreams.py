"""Where the control plane is, and how to know it.

Owns:      the precedence of addresses and root certificates, and the names that certificates must carry.
Does not:  open certificates (load.py looks at the root); decide what is shown to it (credentials.py).
Surprise:  there is one address: where only the mesh file names istiod, the CA is there too, and ISTIOD_SAN
           holds for both. Istio's start script leaves the CA where it was and forgets ISTIOD_SAN.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from vmagent.config import credential_settings, settings
from vmagent.config.credentials import Present, rooted, xds_root
from vmagent.config.layers import Environment
from vmagent.config.merge import Merged
from vmagent.config.model import Address, ControlPlane, Origin, Upstream, Value

SYSTEM_STORE = "SYSTEM"
PLAINTEXT_CA_PORT = 15010
"""istiod's port without TLS: the only switch Istio has for the CA."""

GOOGLE = "googleapis.com"
"""In the address of a CA that no agent of open-source Istio can talk to."""

_METADATA = re.compile(r"[-_.]*[0-9a-z][-_.0-9a-z]*")

DEFAULT_NAME = "istiod.istio-system.svc"
"""What istiod's certificate says when it is reached through a forwarded port of localhost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Roots:
    xds: Path | None
    ca: Path | None


def control_plane(environment: Environment, merged: Merged, roots: Roots) -> ControlPlane:
    discovery = Address.parse(merged.text("discoveryAddress"))
    authority = environment.get(settings.CA_ADDR) or discovery
    if GOOGLE in authority.host:
        remedy = "name istiod, or a CA that speaks istio.v1.auth"
        environment.problem(settings.CA_ADDR.name, "Google's CA, which needs a client of its own", remedy)
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
        delta=environment.get(settings.DELTA_XDS),
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
    """gRPC metadata: printable ASCII, or each call fails for ever; HTTP/2 wants names in lower case. What
    ends in ``-bin`` is bytes there, which nobody can write here.
    """
    found: list[tuple[str, str]] = []
    for name in environment.names(prefix):
        key, text = name.removeprefix(prefix).lower(), environment.text(name)
        if (
            not _METADATA.fullmatch(key)
            or not (text.isascii() and text.isprintable())
            or key.endswith("-bin")
        ):
            remedy = f"write {prefix}NAME=VALUE in printable ASCII, with a NAME that does not end in -bin"
            environment.problem(name, "not a header", remedy)
        else:
            found.append((key, text))
    return tuple(found)


def roots(environment: Environment, base: Path, present: Present) -> Roots:
    """The files to verify istiod with, in Istio's order of search. ``present``: is it a regular file?"""
    usual = base / "etc/certs/root-cert.pem"
    named = (environment.get(settings.XDS_ROOT_CA), environment.get(settings.CA_ROOT_CA))
    xds, authority = (_explicit(base, text) if text else ... for text in named)
    mounted = xds_root(environment, base, present)
    if xds is ...:
        xds = usual if present(usual) else mounted or _last(environment, base)
    if authority is ...:
        custom = environment.get(settings.CERT_PROVIDER) == "custom"
        authority = usual if custom else mounted or _last(environment, base)
    return Roots(xds=xds, ca=authority)


def _explicit(base: Path, text: str) -> Path | None:
    return None if text == SYSTEM_STORE else rooted(base, text)


def _last(environment: Environment, base: Path) -> Path:
    if provided := environment.get(credential_settings.PROV_CERT):
        return rooted(base, provided) / "root-cert.pem"
    if environment.get(settings.CERT_PROVIDER) == "none":
        remedy = "set XDS_ROOT_CA and CA_ROOT_CA, each a file or SYSTEM"
        environment.problem(settings.CERT_PROVIDER.name, "leaves no root certificate", remedy)
    return base / "var/run/secrets/istio/root-cert.pem"
