"""Ages as kubectl prints them."""

import datetime

import pytest

from lab.kubectl.age import age, duration


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (-2, "<invalid>"), (-1, "0s"), (0, "0s"), (119, "119s"), (120, "2m"), (200, "3m20s"), (600, "10m"),
        (10799, "179m"), (10800, "3h"), (11100, "3h5m"), (28800, "8h"), (172799, "47h"), (172800, "2d"),
        (183600, "2d3h"), (691200, "8d"), (86400 * 729, "729d"), (86400 * 730, "2y"), (86400 * 735, "2y5d"),
        (86400 * 365 * 8, "8y"),
    ],
)  # fmt: skip
def test_ages_are_said_the_less_exactly_the_older_they_are(seconds: float, told: str) -> None:
    assert duration(seconds) == told


def test_an_age_that_nobody_wrote_down_is_unknown() -> None:
    now = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    assert age("2025-12-31T23:58:00Z", now) == "2m"
    assert {age(each, now) for each in (None, "", "yesterday", 7, "2025-12-31")} == {"<unknown>"}
