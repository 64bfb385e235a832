"""What a subscription covers, and what a change makes of it."""

from vmagent.xds.wanted import Wanted

NOTHING = Wanted()
EVERYTHING = Wanted(everything=True)


def names(*these: str) -> frozenset[str]:
    return frozenset(these)


def test_no_names_in_a_first_request_are_everything_and_so_is_a_star() -> None:
    assert Wanted.of(()) == EVERYTHING
    assert Wanted.of(("*",)) == EVERYTHING
    assert Wanted.of(("*", "a")) == Wanted(True, names("a"))
    assert Wanted.of(("a", "b")) == Wanted(False, names("a", "b"))


def test_nothing_is_false_and_covers_no_name() -> None:
    assert not NOTHING
    assert not NOTHING.covers("a")
    assert EVERYTHING.covers("a")
    assert Wanted.of(("a",)).covers("a")
    assert not Wanted.of(("a",)).covers("b")


def test_later_requests_add_and_take_away() -> None:
    assert Wanted.of(("a", "b")).changed(names("c"), names("a")) == Wanted(False, names("b", "c"))
    assert Wanted.of(("a",)).changed(names(), names("a")) == NOTHING
    assert Wanted.of(("a",)).changed(names("*"), names()) == Wanted(True, names("a"))
    assert EVERYTHING.changed(names("a"), names("*")) == Wanted(False, names("a"))


def test_a_name_that_is_taken_away_and_added_at_once_is_wanted() -> None:
    assert Wanted.of(("a",)).changed(names("a"), names("a")) == Wanted(False, names("a"))
