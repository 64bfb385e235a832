"""What a slow peer misses, and what it never misses."""

import asyncio
from dataclasses import replace

import pytest

from vmagent.xds import types
from vmagent.xds.messages import Ask, DeltaAsk, Give
from vmagent.xds.outbox import Ended, Message, Outbox
from vmagent.xds.resources import Resources

CDS, EDS = types.CLUSTER, types.ENDPOINT


def names(*these: str) -> frozenset[str]:
    return frozenset(these)


async def emptied(outbox: Outbox) -> list[Message]:
    return [await outbox.get() for _ in range(len(outbox))]


async def test_of_clusters_only_the_newest_waits_and_keeps_its_place_before_the_listeners() -> None:
    outbox = Outbox()
    newest = Give(CDS, "2", "3", {"b": b"2"}, b"raw")
    for give in (Give(CDS, "1", "1", {"a": b"1"}), Give(types.LISTENER, "1", "2", {}), newest):
        outbox.put(give)
    assert await emptied(outbox) == [newest, Give(types.LISTENER, "1", "2", {})]


async def test_of_endpoints_which_come_in_parts_every_part_arrives_under_the_newest_nonce() -> None:
    outbox = Outbox()
    outbox.put(Give(EDS, "1", "1", {"a": b"1", "b": b"1"}, b"raw"))
    outbox.put(Give(EDS, "2", "2", {"b": b"2"}, b"raw"))
    assert await emptied(outbox) == [Give(EDS, "2", "2", {"a": b"1", "b": b"2"})]


async def test_a_rejection_is_told_although_something_newer_was_accepted() -> None:
    outbox = Outbox()
    first = Ask(EDS, names("x"))
    rejected, accepted = Ask(EDS, names("x"), "1", "b", "no"), Ask(EDS, names("x", "y"), "3", "c")
    for ask in (first, rejected, accepted):
        outbox.put(ask)
    assert await emptied(outbox) == [accepted, rejected]


async def test_of_health_only_the_latest_counts() -> None:
    outbox = Outbox()
    for error in ("ill", "", "worse"):
        outbox.put(Ask(types.HEALTH, error=error))
    assert await emptied(outbox) == [Ask(types.HEALTH, error="worse")]


async def test_a_reader_waits_for_news_and_hears_of_the_end() -> None:
    outbox = Outbox()
    loop = asyncio.get_running_loop()
    loop.call_soon(outbox.put, Ask(CDS))
    assert await outbox.get() == Ask(CDS)
    loop.call_soon(outbox.end)
    with pytest.raises(Ended):
        await outbox.get()


# --- incrementally


def change(nonce: str, resources: dict[str, bytes], *removed: str) -> Give:
    found = Resources.plain(resources)
    return Give(CDS, nonce, nonce, found, b"raw", names(*removed), found.versions, delta=True)


async def test_of_increments_that_wait_the_newest_of_each_resource_arrives_in_one() -> None:
    outbox = Outbox()
    outbox.put(change("1", {"a": b"1", "b": b"1"}))
    outbox.put(change("2", {"b": b"2", "c": b"2"}, "a"))
    outbox.put(change("3", {"d": b"3"}, "c"))
    [give] = await emptied(outbox)
    assert isinstance(give, Give)
    assert dict(give.resources) == {"b": b"2", "d": b"3"}
    assert give.removed == {"a", "c"}
    assert (give.version, give.nonce, give.raw) == ("3", "3", b"")


async def test_what_was_removed_and_is_back_is_not_removed() -> None:
    outbox = Outbox()
    outbox.put(change("1", {}, "a", "b"))
    outbox.put(change("2", {"a": b"2"}))
    [give] = await emptied(outbox)
    assert isinstance(give, Give)
    assert (dict(give.resources), give.removed) == ({"a": b"2"}, names("b"))


async def test_an_hour_of_changes_waits_as_one_response_and_as_many_resources_as_there_are() -> None:
    outbox = Outbox()
    for number in range(10_000):
        outbox.put(change(str(number), {f"r{number % 7}": str(number).encode()}))
    assert len(outbox) == 1
    [give] = await emptied(outbox)
    assert isinstance(give, Give)
    assert dict(give.resources) == {f"r{number % 7}": str(number).encode() for number in range(9993, 10_000)}


async def test_an_increment_that_was_adapted_is_joined_with_its_versions() -> None:
    outbox = Outbox()
    outbox.put(replace(change("1", {"a": b"1"}), resources={"a": b"adapted"}, versions={"a": "7"}))
    outbox.put(change("2", {"b": b"2"}))
    [give] = await emptied(outbox)
    assert isinstance(give, Give)
    assert (dict(give.resources), dict(give.versions)) == (
        {"a": b"adapted", "b": b"2"},
        {"a": "7", "b": ""},
    )


async def test_subscriptions_add_up_and_answers_are_told_beside_them() -> None:
    outbox = Outbox()
    for ask in (
        DeltaAsk(EDS, names("x", "y")),
        DeltaAsk(EDS, nonce="a"),
        DeltaAsk(EDS, names("z"), names("old")),
        DeltaAsk(EDS, nonce="b", error="no"),
        DeltaAsk(EDS, nonce="c"),
        DeltaAsk(EDS, frozenset(), names("y")),
    ):
        outbox.put(ask)
    assert await emptied(outbox) == [
        DeltaAsk(EDS, names("x", "z"), names("old")),
        DeltaAsk(EDS, nonce="c"),
        DeltaAsk(EDS, nonce="b", error="no"),
    ]


async def test_what_is_given_up_and_wanted_again_is_told_in_two_messages_one_after_the_other() -> None:
    """In one, istiod would subscribe first and give up then."""
    outbox = Outbox()
    outbox.put(DeltaAsk(EDS, frozenset(), names("x", "y")))
    outbox.put(DeltaAsk(EDS, names("x")))
    outbox.put(DeltaAsk(CDS, nonce="a"))
    assert [await outbox.get(), await outbox.get(), await outbox.get()] == [
        DeltaAsk(EDS, frozenset(), names("x", "y")),
        DeltaAsk(EDS, names("x")),
        DeltaAsk(CDS, nonce="a"),
    ]


async def test_what_is_wanted_and_given_up_before_anybody_heard_is_not_told() -> None:
    outbox = Outbox()
    outbox.put(DeltaAsk(EDS, names("x")))
    outbox.put(DeltaAsk(EDS, frozenset(), names("x")))
    assert len(outbox) == 0


async def test_the_first_request_of_a_type_grows_until_it_is_sent_and_never_becomes_everything() -> None:
    outbox = Outbox()
    outbox.put(DeltaAsk(EDS, names("x", "y"), versions={"x": "1", "y": "1"}, first=True))
    outbox.put(DeltaAsk(EDS, names("z"), names("x")))
    assert await emptied(outbox) == [DeltaAsk(EDS, names("y", "z"), versions={"y": "1"}, first=True)]
    outbox.put(DeltaAsk(EDS, names("x"), first=True))
    outbox.put(DeltaAsk(EDS, frozenset(), names("x")))
    assert len(outbox) == 0, "without a name it would ask for everything"


async def test_a_first_request_for_everything_stays_one() -> None:
    outbox = Outbox()
    outbox.put(DeltaAsk(CDS, versions={"a": "1"}, first=True))
    outbox.put(DeltaAsk(CDS, names("on demand")))
    assert await emptied(outbox) == [DeltaAsk(CDS, names("*", "on demand"), versions={"a": "1"}, first=True)]


async def test_of_health_only_the_latest_counts_incrementally_as_well() -> None:
    outbox = Outbox()
    for error in ("ill", "", "worse"):
        outbox.put(DeltaAsk(types.HEALTH, error=error))
    assert await emptied(outbox) == [DeltaAsk(types.HEALTH, error="worse")]
