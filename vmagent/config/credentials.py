"""Which certificate and token this machine has, where they live, and what is shown to the control plane.

Owns:      the three ways to a certificate: from the CA, beside one that other tooling provides (PROV_CERT),
           and from files alone (FILE_MOUNTED_CERTS).
Does not:  read a certificate or the token (identity does); know how istiod is recognised (upstreams.py).
Surprise:  with mounted files neither PROV_CERT nor OUTPUT_CERTS has its default: nothing is shown that was
           not mounted, and nothing is written over what others keep.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from vmagent.config import credential_settings as settings
from vmagent.config.layers import Environment
from vmagent.config.model import Credentials, KeyKind, MountedFiles, PairFiles

PLAIN: Final = ("cert-chain.pem", "key.pem", "root-cert.pem")
GKE: Final = ("certificates.pem", "private_key.pem", "ca_certificates.pem")
"""File names of chain, key and root, in that order."""

RUN: Final = "var/run/secrets"
EXISTING: Final = "etc/certs"
WORKLOAD: Final = f"{RUN}/workload-spiffe-credentials"
"""Where certificates are mounted; if all three are here no setting is needed."""

Present = Callable[[Path], bool]


def rooted(base: Path, text: str) -> Path:
    """Istio's relative paths (``./etc/certs``) start at ``base``: ``/``, where systemd starts services."""
    return base / text


def credentials(environment: Environment, base: Path, present: Present) -> Credentials:
    mounted = _mounted(environment, base, present)
    provided, output = environment.get(settings.PROV_CERT), environment.get(settings.OUTPUT_CERTS)
    if mounted:
        _exclude_provided(environment, provided)
        provided, output = "", ""
    return Credentials(
        token=base / RUN / "tokens/istio-token",
        ttl=environment.get(settings.SECRET_TTL),
        grace_ratio=environment.get(settings.GRACE_RATIO),
        grace_jitter=environment.get(settings.GRACE_JITTER),
        key=_key(environment),
        output_dir=rooted(base, output) if output else None,
        prov_dir=rooted(base, provided) if provided else None,
        mounted=mounted,
        xds_pair=_xds_pair(environment, base) if mounted else None,
        cert_signer=environment.get(settings.CERT_SIGNER),
        sds_socket=base / RUN / "workload-spiffe-uds" / environment.get(settings.SOCKET_FILE),
        base=base,
    )


def xds_root(environment: Environment, base: Path, present: Present) -> Path | None:
    """The root that comes with mounted certificates; None where there are none."""
    mounted = _mounted(environment, base, present)
    named = environment.text("ISTIO_META_TLS_CLIENT_ROOT_CERT")
    return None if mounted is None else rooted(base, named) if named else mounted.root


def _mounted(environment: Environment, base: Path, present: Present) -> MountedFiles | None:
    gke = environment.get(settings.CA_PROVIDER) == "GkeWorkloadCertificate"
    mounted = _files(base / WORKLOAD, GKE if gke else PLAIN)
    if gke or all(map(present, (mounted.chain, mounted.key, mounted.root))):
        return mounted
    return _files(base / EXISTING, PLAIN) if environment.get(settings.FILE_MOUNTED) else None


def _files(directory: Path, names: tuple[str, str, str]) -> MountedFiles:
    chain, key, root = (directory / name for name in names)
    return MountedFiles(chain=chain, key=key, root=root)


def _exclude_provided(environment: Environment, provided: str) -> None:
    if environment.is_set(settings.PROV_CERT) and provided:
        remedy = "remove it, or FILE_MOUNTED_CERTS and CA_PROVIDER: the certificate comes from one of them"
        environment.problem(settings.PROV_CERT.name, "excludes certificates from mounted files", remedy)


def _xds_pair(environment: Environment, base: Path) -> PairFiles | None:
    """As Istio: certificates of their own for istiod, by the names of node metadata."""
    named: Mapping[str, str] = {
        key: environment.text(f"ISTIO_META_TLS_CLIENT_{key}") for key in ("CERT_CHAIN", "KEY")
    }
    if not all(named.values()):
        return None
    return PairFiles(chain=rooted(base, named["CERT_CHAIN"]), key=rooted(base, named["KEY"]))


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
