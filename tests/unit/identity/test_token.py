import base64
from pathlib import Path

import pytest

from tests.authority import jwt, service_account_jwt
from vmagent.identity.spiffe import SpiffeId
from vmagent.identity.token import LARGEST, Token, judge, read
from vmagent.runtime.clock import rfc3339

NOW = 1_700_000_000.0
VM = SpiffeId(trust_domain="cluster.local", namespace="istio-demo", service_account="vm")


def judged(text: str | bytes) -> Token:
    data = text.encode() if isinstance(text, str) else text
    return judge(data, "the token T", wanted=VM, now=NOW)


def test_a_good_token_is_trimmed_and_has_no_problem() -> None:
    text = service_account_jwt(expires=NOW + 60)
    token = judged(f" {text}\r\n")
    assert token == Token(text=text, expires=NOW + 60)


def test_an_expired_token_says_since_when_and_is_still_shown_to_the_ca() -> None:
    token = judged(service_account_jwt(expires=NOW - 1))
    assert token.problem.startswith("the token T expired at 2023-11-14T22:13:19Z; the clock here says 2023")
    assert not token.hopeless


def test_a_token_for_another_audience_names_both() -> None:
    token = judged(service_account_jwt(audience="vault", expires=NOW + 60))
    assert "meant for vault" in token.problem
    assert "istio-ca" in token.problem
    assert not token.hopeless


@pytest.mark.parametrize("audience", ["istio-ca", ["x", "istio-ca"]])
def test_the_audience_may_be_a_word_or_a_list(audience: object) -> None:
    assert judged(jwt(aud=audience, exp=NOW + 60)).problem == ""


@pytest.mark.parametrize(("namespace", "account"), [("default", "vm"), ("istio-demo", "other")])
def test_a_token_of_somebody_else_is_hopeless(namespace: str, account: str) -> None:
    token = judged(service_account_jwt(namespace, account, expires=NOW + 60))
    assert token.hopeless
    assert f"service account {account} in namespace {namespace}" in token.problem
    assert "service account vm in namespace istio-demo" in token.problem


def test_a_subject_that_is_no_service_account_is_left_to_the_ca() -> None:
    assert judged(jwt(aud="istio-ca", sub="spiffe://x/y", exp=NOW + 60)).problem == ""


@pytest.mark.parametrize("text", ["a.b", "a.b.c", "e30.W10.x", "....", f"a.{'W1' * 9000}.b", "a.=.b"])
def test_what_is_not_a_jwt_is_said_and_left_to_the_ca(text: str) -> None:
    token = judged(text)
    assert "is not a JWT" in token.problem
    assert not token.hopeless


@pytest.mark.parametrize("text", [b"\xff\xfe", b"two words", b"a\nb", b"x" * (LARGEST + 1), "té".encode()])
def test_what_cannot_stand_in_a_header_is_never_sent(text: bytes) -> None:
    assert judged(text).hopeless
    assert judged(text).text == ""


@pytest.mark.parametrize("text", ["", " \n", "\r\n"])
def test_an_empty_token_is_said_to_be_empty(text: str) -> None:
    assert judged(text) == Token(problem="the token T is empty", hopeless=True)


def test_claims_of_the_wrong_type_are_no_crash() -> None:
    assert judged(jwt(aud={"a": 1}, exp="soon", sub=7)) == Token(text=jwt(aud={"a": 1}, exp="soon", sub=7))


def test_a_token_never_shows_in_a_repr() -> None:
    text = service_account_jwt()
    assert text not in repr(judged(text))


def test_a_missing_token_names_the_path_and_the_remedy(tmp_path: Path) -> None:
    token = read(tmp_path / "istio-token", wanted=VM, now=NOW)
    assert token.problem == f"there is no token: {tmp_path}/istio-token does not exist"
    assert "vmagent entry configure" in token.hint
    assert token.hopeless


def test_a_token_that_is_a_directory_says_so(tmp_path: Path) -> None:
    assert (
        read(tmp_path, wanted=VM, now=NOW).problem == f"the token {tmp_path} cannot be read: is a directory"
    )


def test_a_token_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    path = tmp_path / "istio-token"
    path.symlink_to(path)
    problem = read(path, wanted=VM, now=NOW).problem
    assert problem == f"the token {path} cannot be read: too many levels of symbolic links"


@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_a_token_from_the_future_names_the_clock_and_is_sent_all_the_same(claim: str) -> None:
    token = judge(jwt(aud="istio-ca", **{claim: NOW + 3600}).encode(), "the token T", wanted=VM, now=NOW)
    assert (
        "is valid only from 2023-11-14T23:13:20Z; the clock here says 2023-11-14T22:13:20Z" in token.problem
    )
    assert not token.hopeless


def test_clocks_that_differ_by_seconds_are_no_problem() -> None:
    token = judge(jwt(aud="istio-ca", iat=NOW + 30).encode(), "the token T", wanted=VM, now=NOW)
    assert token.problem == ""


@pytest.mark.parametrize("claim", ["exp", "nbf", "iat"])
@pytest.mark.parametrize(
    "number",
    [
        "1" + "0" * 400,
        "1e400",
        "NaN",
        "-1e300",
        "-1",
        str(int(NOW) * 1000),
        str(int(NOW) * 10**9),
        "-Infinity",
    ],
)
def test_a_time_that_no_calendar_has_is_said_and_left_to_the_ca(claim: str, number: str) -> None:
    """Whoever counts in milliseconds, or was made to crash us."""
    payload = base64.urlsafe_b64encode(f'{{"aud":"istio-ca","{claim}":{number}}}'.encode()).decode()
    token = judged(f"x.{payload.rstrip('=')}.y")
    assert token.problem == f"the token T says of {claim} what is no time: it must be seconds since 1970"
    assert token.expires is None
    assert token.text
    assert not token.hopeless


def test_the_last_second_that_has_a_date_is_a_time() -> None:
    token = judged(jwt(aud="istio-ca", exp=253_402_300_799))
    assert token.problem == ""
    assert token.expires is not None
    assert rfc3339(token.expires) == "9999-12-31T23:59:59Z"


def test_yes_is_no_time() -> None:
    assert judged(jwt(aud="istio-ca", exp=True)).expires is None
