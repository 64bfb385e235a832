"""The identity room's own section: values that are already parsed and absolute."""

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Final, Literal

from vmagent.identity.certsource import PairFiles, RootFile
from vmagent.identity.endpoint import Endpoint
from vmagent.identity.spiffe import SpiffeId
from vmagent.identity.store import CHAIN, KEY

MIN_RSA_BITS: Final = 2048
"""Istio's own floor."""

PLAINTEXT_PORT: Final = 15010
"""istiod's port without TLS; Istio's agent decides by the port too. There is no other switch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySpec:
    """P256 is our default (Istio's is RSA 2048): a hundred times cheaper to make, and what its own ztunnel
    uses.
    """

    algorithm: Literal["P256", "P384", "RSA"] = "P256"
    rsa_bits: int = MIN_RSA_BITS
    pkcs8: bool = False

    def __post_init__(self) -> None:
        if self.rsa_bits < MIN_RSA_BITS:
            raise ValueError(f"an RSA key of {self.rsa_bits} bits is too small: at least {MIN_RSA_BITS}")


class Shown(Enum):
    """Which certificate CA and control plane see."""

    OWN = "our own, once there is one"
    FILES = "one that other tooling looks after"
    NOTHING = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class MountedFiles:
    pair: PairFiles
    root: RootFile


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityConfig:
    """``grace_ratio``: the share of a certificate's life that is left when renewal begins; ``grace_jitter``:
    how far, up or down, each VM moves that share. ``headers`` go along with each call to the CA
    (CA_HEADER_*).
    """

    spiffe: SpiffeId
    token: Path
    ca: Endpoint
    root_cert: Path | None
    """None: trust the operating system's roots."""
    cluster_id: str = ""
    cert_signer: str = ""
    ttl: int = 24 * 3600
    """Seconds asked for; the CA may give less."""
    output_dir: Path | None = Path("/etc/certs")
    """Where the credential is kept between starts (OUTPUT_CERTS). None: in memory only."""
    prov_dir: Path | None = None
    """Where the certificate lies that is shown to CA and control plane (PROV_CERT). Equal to ``output_dir``:
    our own. None: none is shown, the token speaks alone.
    """
    mounted: MountedFiles | None = None
    """Our credential is here, and no CA is asked: the four fields above mean nothing then."""
    mounted_client: PairFiles | None = None
    """With ``mounted``: shown to the control plane in place of our own."""
    key: KeySpec = field(default_factory=KeySpec)
    grace_ratio: float = 0.5
    grace_jitter: float = 0.01
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def tls(self) -> bool:
        return self.ca.port != PLAINTEXT_PORT

    @property
    def shown(self) -> Shown:
        if self.client_files:
            return Shown.FILES
        return Shown.OWN if self.mounted or self.prov_dir else Shown.NOTHING

    @property
    def client_files(self) -> PairFiles | None:
        """The certificate to show, if it is one that other tooling looks after."""
        if self.mounted:
            return self.mounted_client
        if self.prov_dir is None or self.prov_dir == self.output_dir:
            return None
        return PairFiles(self.prov_dir / CHAIN, self.prov_dir / KEY)
