"""Which stream counts, and what goes where."""

import contextlib
from dataclasses import replace

import pytest
from google.protobuf.message import DecodeError

from vmagent._pb import wire_pb2 as wire
from vmagent.xds import sotw, types
from vmagent.xds.hub import Hub
from vmagent.xds.messages import Ask, DeltaAsk, DeltaRequest, Give, Request, Update
from vmagent.xds.outbox import Ended, Message, Outbox

NOBODY = wire.Node()
STOCK = wire.Node(extensions=[wire.Extension(name="envoy.filters.http.router")])
FILTER = b"\x0a\x03web\xc2\x02\x19\x0a\x17istio.metadata_exchange"
"""A Cluster ``web`` whose only network filter (field 40) is metadata exchange."""


def table(nonce: str, data: bytes) -> Update:
    return Update(types.NAME_TABLE, "1", nonce, {"": data}, b"")


def clusters(nonce: str, value: bytes = FILTER) -> Update:
    return Update(types.CLUSTER, "1", nonce, {"web": value}, b"raw")


async def emptied(outbox: Outbox) -> list[Message]:
    return [await outbox.get() for _ in range(len(outbox))]


async def test_what_a_replaced_stream_to_the_control_plane_still_says_is_dropped() -> None:
    hub = Hub(name_tables=False)
    old, new = hub.open_upstream(), hub.open_upstream()
    hub.from_upstream(old, clusters("a"))
    hub.close_upstream(old)
    assert hub.connected
    assert hub.responses == 0
    hub.close_upstream(new)
    assert not hub.connected


async def test_the_name_table_is_answered_at_once_and_a_damaged_one_changes_nothing() -> None:
    hub = Hub(name_tables=True)
    upstream = hub.open_upstream()
    await emptied(upstream)
    good = wire.NameTable()
    good.table["nginx.jd.com"].ips.append("240.240.0.1")
    hub.from_upstream(upstream, table("a", good.SerializeToString()))
    assert await emptied(upstream) == [Ask(types.NAME_TABLE, version="1", nonce="a")]
    hub.from_upstream(upstream, table("b", b"\xff"))
    [rejection] = await emptied(upstream)
    assert isinstance(rejection, Ask)
    assert rejection.error.startswith("name table: ")
    assert hub.tables.value is not None
    assert hub.tables.value["nginx.jd.com"].ips == ("240.240.0.1",)


async def test_a_name_table_comes_incrementally_whole_and_its_absence_changes_nothing() -> None:
    hub = Hub(name_tables=True)
    upstream = hub.open_upstream(delta=True)
    await emptied(upstream)
    empty = Update(types.NAME_TABLE, "1", "a", {}, delta=True)
    hub.from_upstream(upstream, empty)
    assert hub.tables.value == {}, "the first answer is one, also without a name"
    good = wire.NameTable()
    good.table["nginx.jd.com"].ips.append("240.240.0.1")
    hub.from_upstream(upstream, replace(table("b", good.SerializeToString()), delta=True))
    hub.from_upstream(upstream, replace(empty, nonce="c"))
    assert list(hub.tables.value or ()) == ["nginx.jd.com"]
    hub.from_upstream(upstream, replace(empty, nonce="d", removed=("",)))
    assert hub.tables.value == {}
    assert await emptied(upstream) == [DeltaAsk(types.NAME_TABLE, nonce="d")]


async def test_what_has_passed_is_counted_and_everything_that_happens_is_noticed() -> None:
    hub = Hub(name_tables=False)
    upstream = hub.open_upstream()
    hub.moved.clear()
    hub.from_upstream(upstream, clusters("a"))
    assert hub.moved.is_set()
    assert hub.passed == len(b"raw")
    hub.moved.clear()
    hub.quiet()
    assert not hub.moved.is_set(), "or there would never be an end of it"


async def test_complete_means_that_every_type_was_answered() -> None:
    hub = Hub(name_tables=True)
    upstream = hub.open_upstream()
    for update in (clusters("a"), Update(types.LISTENER, "1", "b", {}), table("c", b"")):
        assert hub.complete.value is None
        hub.from_upstream(upstream, update)
    assert hub.complete.value is True


async def test_each_envoy_gets_what_it_can_load_whatever_the_one_before_it_could() -> None:
    hub = Hub(name_tables=False)
    hub.from_upstream(hub.open_upstream(), clusters("a"))
    for node, whole in ((STOCK, False), (NOBODY, True)):
        envoy = hub.open_envoy()
        hub.from_envoy(envoy, Request(types.CLUSTER), node)
        [give] = await emptied(envoy)
        assert isinstance(give, Give)
        assert (b"metadata_exchange" in give.resources["web"]) is whole
        hub.close_envoy(envoy)


async def test_a_cluster_that_cannot_be_read_goes_out_as_it_came() -> None:
    hub = Hub(name_tables=False)
    damaged = FILTER + b"\xc2"
    hub.from_upstream(hub.open_upstream(), clusters("a", damaged))
    envoy = hub.open_envoy()
    hub.from_envoy(envoy, Request(types.CLUSTER), STOCK)
    [give] = await emptied(envoy)
    assert isinstance(give, Give)
    assert give.resources == {"web": damaged}


async def test_an_envoy_that_is_being_replaced_does_not_take_the_place_of_its_successor() -> None:
    """After an agent was away either may be back first."""
    hub = Hub(name_tables=False)
    successor, replaced = hub.open_envoy(epoch=3), hub.open_envoy(epoch=2)
    hub.from_envoy(replaced, Request(types.CLUSTER), NOBODY)
    hub.from_envoy(successor, Request(types.CLUSTER), NOBODY)
    hub.from_upstream(hub.open_upstream(), clusters("a", b"1"))
    assert (len(successor), len(replaced)) == (1, 0)
    hub.close_envoy(successor)
    with pytest.raises(Ended):
        await replaced.get()
    hub.close_envoy(replaced)
    again = hub.open_envoy(epoch=2)
    hub.from_envoy(again, Request(types.CLUSTER), NOBODY)
    assert len(again) == 1, "it goes on when its successor is no more"


def large(nonce: str, *, damaged: bool = False) -> bytes:
    """Clusters, of which one in the middle may not be readable."""
    names = [f"cluster-{number}" for number in range(100)]
    message = wire.DiscoveryResponse(version_info=nonce, type_url=types.CLUSTER, nonce=nonce)
    for name in names:
        value = bytes((0x0A, len(name))) + name.encode() + b"\x12\xe8\x07" + b"x" * 1000
        message.resources.add(type_url=types.CLUSTER, value=value)
    data = message.SerializeToString()
    field = data.rindex(b"\x12", 0, data.index(types.CLUSTER.encode(), len(data) // 2))
    return data[:field] + b"\x13" + data[field + 1 :] if damaged else data


@pytest.mark.parametrize("delta", [False, True], ids=["state of the world", "incremental"])
async def test_of_a_large_response_that_is_damaged_inside_nothing_is_kept_and_nothing_lost(
    delta: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """An Envoy that cannot read it comes back, and gets all that was before."""
    hub = Hub(name_tables=False)
    upstream, envoy = hub.open_upstream(), hub.open_envoy(delta=delta)
    request = DeltaRequest(types.CLUSTER) if delta else Request(types.CLUSTER)
    hub.from_envoy(envoy, request, NOBODY)
    hub.from_upstream(upstream, sotw.decode_response(large("a")))
    [give] = await emptied(envoy)
    assert isinstance(give, Give)
    hub.from_envoy(envoy, replace(request, nonce=give.nonce), NOBODY)
    with contextlib.suppress(DecodeError):  # what has to be taken apart at once ends the stream at once
        hub.from_upstream(upstream, sotw.decode_response(large("b", damaged=True)))
    hub.close_envoy(envoy)
    again = hub.open_envoy(delta=delta)
    hub.from_envoy(again, request, NOBODY)
    [give] = await emptied(again)
    assert isinstance(give, Give)
    assert len(give.resources) == 100
    assert delta or "cannot be read" in caplog.text


async def test_when_the_newest_envoy_leaves_those_before_it_are_asked_to_come_back() -> None:
    hub = Hub(name_tables=False)
    first, second = hub.open_envoy(), hub.open_envoy()
    hub.from_envoy(first, Request(types.CLUSTER), NOBODY)
    assert len(first) == 0
    hub.close_envoy(second)
    with pytest.raises(Ended):
        await first.get()
    hub.close_envoy(first)
    assert hub.open_envoy() is not first
