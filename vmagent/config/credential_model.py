"""How the machine proves who it is, as values that cannot be wrong: a part of the resolved configuration.

Owns:      the shape of ``Credentials``; paths are absolute, durations seconds.
Does not:  decide anything (credentials.py).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyKind:
    algorithm: Literal["EC", "RSA"]
    curve: Literal["P256", "P384"]
    rsa_bits: int
    pkcs8: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PairFiles:
    chain: Path
    key: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class MountedFiles(PairFiles):
    root: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """How the machine proves who it is, and where certificates live."""

    token: Path
    ttl: float
    """Seconds of lifetime to ask for."""
    grace_ratio: float
    """Renew when this fraction of the lifetime is left."""
    grace_jitter: float
    key: KeyKind
    output_dir: Path | None
    """Workload certificates are written here; None: nowhere."""
    prov_dir: Path | None
    """Certificates found here authenticate towards CA and xDS; None: the token alone does."""
    mounted: MountedFiles | None
    """Our certificate is here, no CA is asked; None: it comes from the CA."""
    xds_pair: PairFiles | None
    """With ``mounted``: shown to istiod in its place."""
    cert_signer: str
    sds_socket: Path
    base: Path
    """Where relative names of certificate files (``file-cert:``, ``file-root:``) start."""
