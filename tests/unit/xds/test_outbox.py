"""What a slow peer misses, and what it never misses."""

import asyncio

import pytest

from vmagent.xds import types
from vmagent.xds.messages import Ask, Give
from vmagent.xds.outbox import Ended, Message, Outbox

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
