"""What this VM shows to prove its name."""

from dataclasses import dataclass, field

from vmagent.identity.spiffe import SpiffeId


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """A private key and the chain that goes with it, leaf first. The key never appears in a repr."""

    key_pem: bytes = field(repr=False)
    chain_pem: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """Verified when it was made: the key fits the leaf, the chain leads to the root, the leaf names
    ``spiffe``.

    ``chain_pem`` is everything the CA sent, leaf first, its root last (Envoy gets the same from Istio's
    agent). ``not_before`` and ``not_after`` are the leaf's, in epoch seconds.
    """

    spiffe: SpiffeId
    key_pem: bytes = field(repr=False)
    chain_pem: bytes = field(repr=False)
    root_pem: bytes = field(repr=False)
    not_before: float
    not_after: float

    @property
    def pair(self) -> KeyPair:
        return KeyPair(key_pem=self.key_pem, chain_pem=self.chain_pem)
