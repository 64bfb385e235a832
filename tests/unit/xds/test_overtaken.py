"""Answers that come late: of a stream that broke, of a response that another one overtook or joined."""

import asyncio

from tests.unit.xds.test_refusals import STOCK, listener
from tests.unit.xds.transcript import (
    CDS,
    EDS,
    ENVOY,
    LDS,
    UP,
    answer,
    first,
    gave,
    names,
    play,
    takes,
    update,
    wants,
)
from vmagent.xds.compatibility import Compatibility
from vmagent.xds.compatibility.adapting import MOST_TOLD, Adaptation
from vmagent.xds.messages import (
    Ask,
    Command,
    DeltaAsk,
    DeltaRequest,
    EnvoyClosed,
    EnvoyOpened,
    Give,
    Request,
    Update,
    UpstreamClosed,
    UpstreamOpened,
)
from vmagent.xds.outbox import Outbox
from vmagent.xds.resources import Blob, Piece, Resources
from vmagent.xds.session import Session


def eds(nonce: str, **resources: bytes) -> Update:
    return Update(EDS, nonce, nonce, resources)


def test_that_there_is_nothing_under_a_name_is_told_also_after_a_reconnect() -> None:
    """Envoy keeps a cluster warming until it knows."""
    session = Session((CDS,))
    play(
        session,
        UP, ENVOY, wants(CDS), [first(CDS)],
        update(CDS, "a", {"web": "1", "db": "1"}), [gave(CDS, "1", {"web": "1", "db": "1"}, version="v-a")],
        takes(CDS, "1"), [answer(CDS, "a")],
        wants(EDS, "web", "db"), [first(EDS, "web", "db")],
        update(EDS, "b", {"web": "1"}), [gave(EDS, "2", {"web": "1"}, version="v-b")],
        takes(EDS, "2"), [answer(EDS, "b")],
        UpstreamClosed(), [],
    )  # fmt: skip
    session.on(UP)
    session.on(update(CDS, "d", {"web": "1", "db": "1"}))
    given = session.on(update(EDS, "c", {"web": "1"}, "db"))
    assert [each.removed for each in given if isinstance(each, Give)] == [names("db")]


def test_what_was_rejected_and_overtaken_is_not_good() -> None:
    session = Session((LDS,))
    both = names("80", "90")
    play(session, UpstreamOpened(), [Ask(LDS)], EnvoyOpened(), Request(EDS, both), [Ask(EDS, both)])
    [one] = session.on(eds("a", **{"80": b"good", "90": b"good"}))
    assert isinstance(one, Give)
    session.on(Request(EDS, both, one.nonce))
    [bad] = session.on(eds("b", **{"80": b"bad"}))
    [other] = session.on(eds("c", **{"90": b"new"}))
    assert isinstance(bad, Give)
    assert isinstance(other, Give)
    assert session.on(Request(EDS, both, bad.nonce, "no")) == [Ask(EDS, both, "a", "b", "no")]
    session.on(Request(EDS, both, other.nonce))
    [held] = [each for each in session.held if "80" in each.pieces]
    assert {name: piece.value for name, piece in held.good.items()} == {"80": b"good", "90": b"new"}


def test_what_was_accepted_and_overtaken_is_good_when_what_overtook_it_is_rejected() -> None:
    session = Session((CDS,))
    play(
        session,
        UP, ENVOY, wants(CDS), [first(CDS)],
        update(CDS, "a", {"web": "1"}), [gave(CDS, "1", {"web": "1"}, version="v-a")],
        update(CDS, "b", {"web": "bad"}), [gave(CDS, "2", {"web": "bad"}, version="v-b")],
        takes(CDS, "1"), [answer(CDS, "a")],
        DeltaRequest(CDS, nonce="2", error="no"), [answer(CDS, "b", "no")],
        EnvoyClosed(), [],
        ENVOY, wants(CDS), [gave(CDS, "3", {"web": "bad"}, version="v-b")],
        DeltaRequest(CDS, nonce="3", error="no"), [gave(CDS, "4", {"web": "1"}, version="v-a")],
    )  # fmt: skip


def test_a_refusal_that_went_out_with_a_later_update_is_heard_and_its_last_good_version_stays() -> None:
    """To an Envoy that reads slowly both are one response."""
    session, box, heard = Session((LDS,)), Outbox(), list[DeltaAsk]()

    def happens(commands: list[Command]) -> None:
        for each in commands:
            if isinstance(each, Give):
                box.put(each)
            elif isinstance(each, DeltaAsk):
                heard.append(each)

    def listeners(nonce: str, **resources: bytes) -> Update:
        pieces = {name: Piece(Blob(value), 0, len(value), nonce) for name, value in resources.items()}
        return Update(LDS, nonce, nonce, Resources.of(pieces), b"", delta=True)

    def answered() -> Give:
        given = asyncio.run(box.get())
        assert isinstance(given, Give)
        happens(session.on(DeltaRequest(LDS, nonce=given.nonce)))
        return given

    good, bad = listener(mark="good"), listener("istio_authn")
    happens(session.on(UP) + session.on(ENVOY))
    session.compatibility = Compatibility.of(STOCK)
    happens(session.on(wants(LDS)) + session.on(listeners("a", x=good, y=listener(mark="1"))))
    answered()
    happens(session.on(listeners("b", x=bad)) + session.on(listeners("c", y=listener(mark="2"))))
    assert dict(answered().resources) == {"x": good, "y": listener(mark="2")}
    assert heard[-1].nonce == "c"
    assert heard[-1].error.startswith("x: istio_authn")
    session.on(EnvoyClosed())
    session.on(ENVOY)
    session.compatibility = Compatibility.of(STOCK)
    [again] = session.on(wants(LDS))
    assert isinstance(again, Give)
    assert again.resources["x"] == good


def test_the_nonce_of_what_nobody_wants_any_more_is_the_one_that_the_next_subscription_names() -> None:
    session = Session((CDS,))
    play(
        session, UpstreamOpened(), [Ask(CDS)], EnvoyOpened(), Request(EDS, names("a")), [Ask(EDS, names("a"))]
    )
    [one] = session.on(eds("n1", a=b"1"))
    assert isinstance(one, Give)
    session.on(Request(EDS, names("a"), one.nonce))
    session.on(Request(EDS, names(), one.nonce))
    play(session, eds("n2", a=b"2"), [])
    [ask] = session.on(Request(EDS, names("b"), one.nonce))
    assert isinstance(ask, Ask)
    assert (ask.names, ask.nonce) == (names("b"), "n2")


def test_no_names_said_twice_are_still_none() -> None:
    session = Session((LDS,))
    play(session, UP, [first(LDS)], EnvoyOpened(), Request(EDS, names("a")), [first(EDS, "a")])
    [one] = session.on(update(EDS, "n1", {"a": "1"}))
    assert isinstance(one, Give)
    session.on(Request(EDS, names("a"), one.nonce))
    [two] = session.on(update(EDS, "n2", {"a": "2"}))
    assert isinstance(two, Give)
    [ask] = session.on(Request(EDS, names(), one.nonce))
    assert ask == DeltaAsk(EDS, unsubscribe=names("a"))
    for ask in session.on(Request(EDS, names(), two.nonce)):
        assert isinstance(ask, DeltaAsk)
        assert not ask.subscribe


def test_of_many_refusals_the_control_plane_is_told_the_first() -> None:
    refused = {f"listener-{number}": "a reason" for number in range(25_000)}
    told = Adaptation({}, refused).objection
    assert told.count("a reason") == MOST_TOLD
    assert told.endswith(f"and {25_000 - MOST_TOLD} more")
