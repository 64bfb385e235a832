import pytest

from vmagent.health.verdict import Tally, Verdict, after


def verdicts(results: str, *, successes: int = 1, failures: int = 3) -> str:
    """``results``: one letter per probe, + or -. Returns what was published after each: H, U or a dot."""
    tally, published = Tally(), ""
    for number, result in enumerate(results):
        failure = None if result == "+" else f"failure {number}"
        tally, verdict = after(tally, failure, successes=successes, failures=failures)
        published += "." if verdict is None else "H" if verdict.healthy else "U"
    return published


@pytest.mark.parametrize(
    ("results", "published"),
    [
        ("+", "H"),
        ("++++", "H..."),
        ("---", "..U"),
        ("------", "..U..."),
        ("--+", "..H"),
        ("+---", "H..U"),
        ("+--+--+", "H......"),
        ("+---+", "H..UH"),
        ("--+---", "..H..U"),
    ],
)
def test_three_failures_in_a_row_are_unhealthy_and_one_success_is_healthy(
    results: str, published: str
) -> None:
    assert verdicts(results) == published


@pytest.mark.parametrize(
    ("results", "published"),
    [("+", "."), ("++", ".H"), ("+-+", ".U."), ("-+-++", "U...H"), ("-++-", "U.HU")],
)
def test_two_successes_may_be_asked_for(results: str, published: str) -> None:
    assert verdicts(results, successes=2, failures=1) == published


def test_an_unhealthy_verdict_carries_the_last_failure() -> None:
    tally, _ = after(Tally(), "refused", successes=1, failures=2)
    _, verdict = after(tally, "timed out", successes=1, failures=2)
    assert verdict == Verdict(healthy=False, message="timed out")


def test_a_healthy_verdict_has_no_message() -> None:
    _, verdict = after(Tally(), None, successes=1, failures=2)
    assert verdict == Verdict(healthy=True, message="")


def test_an_empty_failure_is_still_a_failure() -> None:
    _, verdict = after(Tally(), "", successes=1, failures=1)
    assert verdict == Verdict(healthy=False, message="")
