import pytest

from lab.controlplane.timestamps import SECOND, parse_duration, parse_rfc3339, rfc3339, rfc3339_nano

DOCUMENTED = "2021-05-22T13:54:10.93951642Z"
"""As the documents' listing shows it: Go leaves out trailing zeros."""


def test_an_instant_is_written_as_go_writes_it() -> None:
    assert rfc3339_nano(parse_rfc3339(DOCUMENTED)) == DOCUMENTED
    assert rfc3339_nano(1_621_691_650 * SECOND) == "2021-05-22T13:54:10Z"
    assert rfc3339(parse_rfc3339(DOCUMENTED)) == "2021-05-22T13:54:10Z"
    assert parse_rfc3339(DOCUMENTED) == 1_621_691_650 * SECOND + 939_516_420


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2021-05-22T13:54:10+02:00", "2021-05-22", "2021-13-22T13:54:10Z"]
)
def test_what_is_not_an_instant_in_utc_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"UTC instant|does not match"):
        parse_rfc3339(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5s", 5),
        ("1m30s", 90),
        ("24h", 86400),
        ("2160h0m0s", 7776000),
        ("300ms", 0.3),
        ("1.5s", 1.5),
        ("7", 7),
    ],
)
def test_durations_are_gos_or_bare_seconds(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "s", "5 s", "-1s", "1d", "five"])
def test_what_is_not_a_duration_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        parse_duration(text)
