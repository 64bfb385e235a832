"""What a token says, and every reason for which one is not believed."""

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from lab.controlplane.tokens import MAX_TOKEN_BYTES, ServiceAccount, TokenIssuer, TokenRefused

NOW = 1_795_000_000
ISSUER = "https://kubernetes.default.svc.cluster.local"
KEY = ec.generate_private_key(ec.SECP256R1())
VM = ServiceAccount("istio-demo", "vm")


def issuer() -> TokenIssuer:
    return TokenIssuer(KEY, ISSUER)


def token(ttl: int = 600) -> str:
    return issuer().issue(VM, audiences=("istio-ca",), ttl=ttl, now=NOW)


def verify(text: str, *, now: int = NOW, missing: str = "") -> ServiceAccount:
    return issuer().verify(text, audience="istio-ca", now=now, exists=lambda _: missing)


def part(text: str, index: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text.split(".")[index] + "=="))
    return found


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(claims: object, head: dict[str, object] | None = None) -> str:
    """Correctly signed, whatever it says."""
    given = {**part(token(), 0), **(head or {})}
    text = f"{encode(json.dumps(given).encode())}.{encode(json.dumps(claims).encode())}"
    r, s = decode_dss_signature(KEY.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{text}.{encode(r.to_bytes(32) + s.to_bytes(32))}"


def test_a_token_says_what_kubernetes_puts_into_one() -> None:
    assert part(token(), 0).keys() == {"alg", "kid", "typ"}
    assert part(token(), 1) == {
        "iss": ISSUER,
        "aud": ["istio-ca"],
        "sub": "system:serviceaccount:istio-demo:vm",
        "iat": NOW,
        "nbf": NOW,
        "exp": NOW + 600,
        "kubernetes.io": {"namespace": "istio-demo", "serviceaccount": {"name": "vm"}},
    }


def test_our_own_token_is_believed_to_its_last_second() -> None:
    assert verify(token(), now=NOW + 599) == VM
    with pytest.raises(TokenRefused, match="expired 0 s ago"):
        verify(token(), now=NOW + 600)


def test_an_audience_may_be_one_of_several_or_a_bare_string() -> None:
    claims = part(token(), 1)
    assert verify(signed({**claims, "aud": ["other", "istio-ca"]})) == VM
    assert verify(signed({**claims, "aud": "istio-ca"})) == VM


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"aud": ["other"]}, "audience is \\['other'\\]"),
        ({"aud": None}, "audience is None"),
        ({"aud": {"istio-ca": 1}}, "audience is"),
        ({"iss": "https://elsewhere"}, "issuer is 'https://elsewhere'"),
        ({"exp": "tomorrow"}, "exp or nbf is not a number"),
        ({"exp": None}, "exp or nbf is not a number"),
        ({"nbf": NOW + 5}, "not valid for another 5 s"),
        ({"sub": "vm"}, "is not a service account"),
        ({"sub": "system:serviceaccount::vm"}, "is not a service account"),
        ({"sub": "system:serviceaccount:a:b:c"}, "is not a service account"),
    ],
)
def test_a_signed_token_that_says_something_else_is_refused(changes: dict[str, object], reason: str) -> None:
    with pytest.raises(TokenRefused, match=reason):
        verify(signed({**part(token(), 1), **changes}))


def test_an_account_that_does_not_exist_is_refused_with_the_callers_reason() -> None:
    with pytest.raises(TokenRefused, match="no such namespace"):
        verify(token(), missing="no such namespace")


@pytest.mark.parametrize("algorithm", ["none", "HS256", "RS256", None])
def test_only_our_own_algorithm_counts(algorithm: str | None) -> None:
    with pytest.raises(TokenRefused, match="algorithm is"):
        verify(signed(part(token(), 1), {"alg": algorithm}))


def test_a_token_of_another_key_is_refused() -> None:
    other = TokenIssuer(ec.generate_private_key(ec.SECP256R1()), ISSUER)
    with pytest.raises(TokenRefused, match="not ours"):
        verify(other.issue(VM, audiences=("istio-ca",), ttl=600, now=NOW))


def test_changed_claims_do_not_match_the_signature() -> None:
    head, _, signature = token().split(".")
    claims = encode(
        json.dumps({**part(token(), 1), "sub": "system:serviceaccount:kube-system:root"}).encode()
    )
    with pytest.raises(TokenRefused, match="signature does not match"):
        verify(f"{head}.{claims}.{signature}")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "three parts"),
        ("a.b", "three parts"),
        ("!.b.c", "not base64url"),
        ("a.b.c", "not base64url"),
        ("bm8.b.c", "not JSON"),
        ("W10.b.c", "not a JSON object"),
        ("x" * (MAX_TOKEN_BYTES + 1), "longer than"),
    ],
)
def test_what_is_not_a_token_is_refused(text: str, reason: str) -> None:
    with pytest.raises(TokenRefused, match=reason):
        verify(text)


def test_a_short_or_garbled_signature_is_refused() -> None:
    signed_part = token().rpartition(".")[0]
    with pytest.raises(TokenRefused, match="wrong length"):
        verify(f"{signed_part}.AAAA")
    with pytest.raises(TokenRefused, match="does not match"):
        verify(f"{signed_part}.{encode(bytes(64))}")


def test_no_reason_repeats_the_token() -> None:
    with pytest.raises(TokenRefused) as caught:
        verify(token(), now=NOW + 10_000)
    assert token().split(".")[2] not in str(caught.value)
