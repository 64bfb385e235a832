"""What is held, what of it is good, and what is known to be no more."""

from collections.abc import Mapping

from vmagent.xds.held import MOST_DOUBTS, Held
from vmagent.xds.resources import Piece, Resources
from vmagent.xds.wanted import Wanted

ALL = Wanted(everything=True)


def some(**values: bytes) -> Resources:
    return Resources.plain(values)


def values(pieces: Mapping[str, Piece]) -> dict[str, bytes]:
    return {name: piece.value for name, piece in pieces.items()}


def test_an_increment_adds_replaces_and_removes() -> None:
    held = Held()
    held.absorb(some(a=b"1", b=b"1"), whole=False, wanted=ALL)
    held.absorb(some(b=b"2", c=b"2"), ("a",), whole=False, wanted=ALL)
    assert values(held.pieces) == {"b": b"2", "c": b"2"}


def test_the_whole_leaves_nothing_of_what_was_before() -> None:
    held = Held()
    held.absorb(some(a=b"1", b=b"1"), whole=False, wanted=ALL)
    held.absorb(some(b=b"2"), whole=True, wanted=ALL)
    assert values(held.pieces) == {"b": b"2"}


def test_what_nobody_wants_is_not_held() -> None:
    held = Held()
    held.absorb(some(a=b"1", b=b"1"), whole=False, wanted=Wanted.of(("a",)))
    assert values(held.pieces) == {"a": b"1"}
    held.keep(Wanted.of(("b",)))
    assert not held.pieces


def test_nothing_is_good_before_an_envoy_has_accepted_it() -> None:
    held = Held()
    held.absorb(some(a=b"1"), whole=False, wanted=ALL)
    assert not held.proven
    assert not held.good
    held.accept(0, held.generation)
    assert held.proven
    assert values(held.good) == {"a": b"1"}


def test_the_last_good_version_stays_beside_the_newest_until_that_is_accepted() -> None:
    held = Held()
    held.absorb(some(a=b"1", b=b"1"), whole=False, wanted=ALL)
    held.accept(0, 1)
    held.absorb(some(a=b"2"), ("b",), whole=False, wanted=ALL)
    held.absorb(some(a=b"3", c=b"3"), whole=False, wanted=ALL)
    assert values(held.good) == {"a": b"1", "b": b"1"}
    assert values(held.pieces) == {"a": b"3", "c": b"3"}
    held.accept(1, 3)
    assert values(held.good) == values(held.pieces)


def test_an_acceptance_says_nothing_of_what_was_rejected_before_it() -> None:
    held = Held()
    held.absorb(some(a=b"1", b=b"1"), whole=False, wanted=ALL)
    held.accept(0, 1)
    held.absorb(some(a=b"bad"), whole=False, wanted=ALL)  # 2: rejected
    held.absorb(some(b=b"3"), whole=False, wanted=ALL)
    held.accept(2, 3)
    assert values(held.good) == {"a": b"1", "b": b"3"}
    assert list(held.doubted) == ["a"]
    held.absorb(some(a=b"4"), whole=False, wanted=ALL)
    held.accept(3, 4)
    assert values(held.good) == {"a": b"4", "b": b"3"}


def test_an_acceptance_that_comes_when_the_next_change_is_here_is_one_of_what_was_before_it() -> None:
    held = Held()
    held.absorb(some(a=b"1", b=b"1"), whole=False, wanted=ALL)
    held.absorb(some(a=b"2"), whole=False, wanted=ALL)
    held.absorb(some(a=b"3"), ("b",), whole=False, wanted=ALL)
    held.accept(0, 1)
    assert values(held.good) == {"a": b"1", "b": b"1"}
    held.accept(2, 3)  # 2: rejected
    assert values(held.good) == {"a": b"3"}
    assert not held.doubted


def test_who_lags_many_changes_behind_is_never_believed_to_have_what_it_did_not_accept() -> None:
    held = Held()
    last = MOST_DOUBTS + 3
    for change in range(1, last + 1):
        held.absorb(some(a=b"%d" % change), whole=False, wanted=ALL)
    assert len(held.all_pieces()) == MOST_DOUBTS, "no more than these are kept, and before the first was none"
    found = []
    for change in range(1, last):
        held.accept(change - 1, change)
        found.append(values(held.good).get("a"))
    assert found == [None, None, None, b"4", b"5", b"6"]
    held.accept(last - 1, last)
    assert not held.doubted


def test_an_acceptance_may_leave_names_out() -> None:
    held = Held()
    held.absorb(some(a=b"1"), whole=False, wanted=ALL)
    held.accept(0, 1)
    held.absorb(some(a=b"2", b=b"2"), whole=False, wanted=ALL)
    held.accept(1, 2, but=frozenset({"a"}))
    assert values(held.good) == {"a": b"1", "b": b"2"}


def test_names_that_were_asked_for_and_do_not_exist_are_remembered_until_they_do() -> None:
    held, wanted = Held(), Wanted.of(("a", "b"))
    held.absorb(some(), ("a", "b", "c"), whole=False, wanted=wanted)
    assert held.gone == {"a", "b"}
    held.absorb(some(a=b"1"), whole=False, wanted=wanted)
    assert held.gone == {"b"}
    held.keep(Wanted.of(("a",)))
    assert not held.gone


def test_who_wants_everything_is_told_of_no_name_that_is_gone_for_ever() -> None:
    held = Held()
    for number in range(1000):
        held.absorb(some(), (f"name-{number}",), whole=False, wanted=ALL)
    assert not held.gone


def test_news_are_what_differs_in_bytes_or_version_or_is_in_doubt() -> None:
    held = Held()
    held.absorb(some(a=b"1", b=b"1", c=b"1"), whole=False, wanted=ALL)
    held.accept(0, 1)
    held.absorb(some(c=b"2"), whole=False, wanted=ALL)  # not accepted yet
    assert set(held.news(some(a=b"1", b=b"2", c=b"2", d=b"1"))) == {"b", "c", "d"}
    versioned = Resources.of({"a": Piece(held.pieces["a"].blob, 0, 1, version="7")})
    assert set(held.news(versioned)) == {"a"}


def test_what_is_forgotten_is_not_good_for_anybody() -> None:
    held = Held()
    held.absorb(some(a=b"1"), whole=False, wanted=ALL)
    held.accept(0, 1)
    held.forget()
    assert not held.pieces
    assert not held.good
    assert not held.proven
    assert held.generation == 1
