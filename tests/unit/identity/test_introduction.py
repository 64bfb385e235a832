"""Which certificate is shown: every combination of what was asked for and what there is."""

import pytest

from vmagent.identity.certfiles import Bundle, Pair
from vmagent.identity.certwatch import Found
from vmagent.identity.config import Shown
from vmagent.identity.credential import Credential, KeyPair
from vmagent.identity.introduction import Certificate, decide
from vmagent.identity.spiffe import SpiffeId

NOW = 1000.0
OWN = KeyPair(key_pem=b"own key", chain_pem=b"own chain")
FILED = KeyPair(key_pem=b"filed key", chain_pem=b"filed chain")
DOUBT = "/c/chain.pem is empty; put a PEM file there"


def held(*, until: float) -> Credential:
    return Credential(
        spiffe=SpiffeId(trust_domain="cluster.local", namespace="istio-demo", service_account="vm"),
        key_pem=OWN.key_pem,
        chain_pem=OWN.chain_pem,
        root_pem=b"root",
        not_before=0.0,
        not_after=until,
    )


def filed(*, until: float, problem: str = "") -> Found:
    return Found(content=Pair(pair=FILED, not_before=0.0, not_after=until, uri=""), problem=problem)


VALID, EXPIRED = held(until=NOW + 1), held(until=NOW)
GOOD, OLD, BAD = filed(until=NOW + 1), filed(until=NOW, problem=DOUBT), Found(problem=DOUBT)
KEPT = filed(until=NOW + 1, problem=DOUBT)


@pytest.mark.parametrize(
    ("shown", "credential", "files", "certificate"),
    [
        (Shown.OWN, VALID, Found(), Certificate(pair=OWN)),
        (Shown.OWN, EXPIRED, Found(), Certificate()),
        (Shown.OWN, None, Found(), Certificate()),
        (Shown.NOTHING, VALID, GOOD, Certificate()),
        (Shown.FILES, VALID, GOOD, Certificate(pair=FILED)),
        (Shown.FILES, None, GOOD, Certificate(pair=FILED)),
        (Shown.FILES, VALID, KEPT, Certificate(pair=FILED, doubt=DOUBT)),
        (Shown.FILES, VALID, OLD, Certificate(pair=OWN, doubt=DOUBT)),
        (Shown.FILES, VALID, BAD, Certificate(pair=OWN, doubt=DOUBT)),
        (Shown.FILES, EXPIRED, BAD, Certificate(doubt=DOUBT)),
        (Shown.FILES, None, OLD, Certificate(doubt=DOUBT)),
        (Shown.FILES, None, Found(content=Bundle(pem=b"", dropped=0)), Certificate()),
    ],
)
def test_what_is_shown_is_what_was_asked_for_or_the_next_best(
    shown: Shown, credential: Credential | None, files: Found, certificate: Certificate
) -> None:
    assert decide(shown, held=credential, filed=files, now=NOW) == certificate
