"""The relay's state machine where both sides speak state of the world, as transcripts."""

from tests.unit.xds.transcript import CDS, LDS, NDS, cds, given, passed, play
from vmagent.xds import types
from vmagent.xds.kind import MOST_UNANSWERED
from vmagent.xds.messages import (
    Ask,
    EnvoyOpened,
    Give,
    Health,
    Request,
    Take,
    Update,
    UpstreamClosed,
    UpstreamOpened,
    Verdict,
)
from vmagent.xds.session import Session

# fmt: off

def test_the_agent_subscribes_by_itself_before_any_envoy_asks() -> None:
    play(
        Session((CDS, LDS, NDS)),
        UpstreamOpened(),                                   [Ask(CDS), Ask(LDS), Ask(NDS)],
        cds("1", "a", web=b"w"),                            [],
        EnvoyOpened(), Request(CDS),                        [Give(CDS, "1", "1", {"web": b"w"})],
        Request(CDS, nonce="1"),                            [Ask(CDS, version="1", nonce="a")],
    )


def test_an_update_passes_through_as_the_bytes_it_came_as() -> None:
    update = Update(CDS, "1", "a", {"web": b"w"}, b"raw")
    play(
        Session((CDS,)),
        UpstreamOpened(),                                   [Ask(CDS)],
        EnvoyOpened(), Request(CDS),                        [],
        update,                                             [passed(update)],
        Request(CDS, nonce="a"),                            [Ask(CDS, version="1", nonce="a")],
    )


def test_a_cluster_that_the_newest_response_leaves_out_is_gone() -> None:
    play(
        Session((CDS,)),
        UpstreamOpened(), cds("1", "a", web=b"1", db=b"1"), cds("2", "b", web=b"2"), [Ask(CDS)],
        EnvoyOpened(), Request(CDS),                        [Give(CDS, "2", "1", {"web": b"2"})],
    )


def test_an_empty_set_of_clusters_is_an_answer() -> None:
    play(
        Session((CDS,)),
        UpstreamOpened(), cds("1", "a"),                    [Ask(CDS)],
        EnvoyOpened(), Request(CDS),                        [Give(CDS, "1", "1", {})],
    )


def test_a_type_that_nobody_asked_for_is_passed_over() -> None:
    play(
        Session((CDS,)),
        UpstreamOpened(), EnvoyOpened(),                    [Ask(CDS)],
        Update("something", "1", "a", {"s": b"1"}),         [],
        Update(types.HEALTH, "1", "a", {}),                 [],
    )


def test_envoy_has_no_say_in_names_and_health() -> None:
    play(
        Session((NDS,)),
        UpstreamOpened(), EnvoyOpened(),                    [Ask(NDS)],
        Request(NDS), Request(types.HEALTH, error="I am ill"), Request(""), [],
    )


def test_a_nonce_of_our_own_is_none_that_the_control_plane_has_used() -> None:
    theirs = Update(CDS, "1", "1", {"web": b"w"}, b"raw")
    play(
        Session((CDS,)),
        UpstreamOpened(), EnvoyOpened(), Request(CDS), theirs, [Ask(CDS), passed(theirs)],
        cds("2", "b"),                                      [given(cds("2", "b"), "2")],
    )


def test_a_verdict_on_something_overtaken_is_left_to_the_next_one() -> None:
    one, two = cds("1", "a"), cds("2", "b")
    play(
        Session((CDS,)),
        UpstreamOpened(), EnvoyOpened(), Request(CDS), one, two,
                                                        [Ask(CDS), given(one, "1"), given(two, "2")],
        Request(CDS, nonce="1"),                            [],
        Request(CDS, nonce="2"),                            [Ask(CDS, version="2", nonce="b")],
    )


def test_an_objection_to_something_overtaken_is_heard_all_the_same() -> None:
    one, two = cds("1", "a"), cds("2", "b")
    play(
        Session((CDS,)),
        UpstreamOpened(), EnvoyOpened(), Request(CDS), one, two,
                                                        [Ask(CDS), given(one, "1"), given(two, "2")],
        Request(CDS, nonce="1", error="no"),                [Ask(CDS, nonce="a", error="no")],
        Request(CDS, nonce="2"),                            [Ask(CDS, version="2", nonce="b")],
    )


def test_an_update_that_comes_twice_is_acknowledged_once() -> None:
    update = cds("1", "a")
    play(
        Session((CDS,)),
        UpstreamOpened(), EnvoyOpened(), Request(CDS), update, update,
                                                    [Ask(CDS), given(update, "1"), given(update, "2")],
        Request(CDS, nonce="1"),                            [],
        Request(CDS, nonce="2"),                            [Ask(CDS, version="1", nonce="a")],
        Request(CDS, nonce="2"),                            [],
    )


def test_an_envoy_that_reads_and_never_answers_costs_a_bounded_memory() -> None:
    session = Session((CDS,))
    for event in (UpstreamOpened(), EnvoyOpened(), Request(CDS)):
        session.on(event)
    last = MOST_UNANSWERED + 1
    for number in range(1, last + 1):
        session.on(cds(str(number), f"n{number}"))
    assert session.on(Request(CDS, nonce="1", error="no")) == []
    assert session.on(Request(CDS, nonce=str(last))) == [Ask(CDS, version=str(last), nonce=f"n{last}")]


def test_the_name_table_is_the_agents_own_and_answered_with_its_verdict() -> None:
    table = Update(NDS, "1", "n", {"": b"table"})
    play(
        Session((NDS,)),
        UpstreamOpened(),                                   [Ask(NDS)],
        table,                                              [Take(table)],
        Verdict(NDS, "n"),                                  [Ask(NDS, version="1", nonce="n")],
        EnvoyOpened(), Request(NDS),                        [],
    )


def test_a_name_table_that_cannot_be_read_is_rejected() -> None:
    table = Update(NDS, "1", "n", {"": b"garbage"})
    play(
        Session((NDS,)),
        UpstreamOpened(), table,                            [Ask(NDS), Take(table)],
        Verdict(NDS, "n", "no table"),                      [Ask(NDS, nonce="n", error="no table")],
    )


def test_health_is_reported_on_change_and_after_each_reconnect_behind_the_first_subscription() -> None:
    play(
        Session((CDS,)),
        Health("connection refused"),                       [],
        UpstreamOpened(),                    [Ask(CDS), Ask(types.HEALTH, error="connection refused")],
        Health(),                                           [Ask(types.HEALTH)],
        UpstreamClosed(), Health("again"),                  [],
        UpstreamOpened(),                                   [Ask(CDS), Ask(types.HEALTH, error="again")],
    )

# fmt: on


def test_arrived_and_versions_tell_what_the_control_plane_said() -> None:
    session = Session((CDS, LDS))
    session.on(UpstreamOpened())
    assert not session.arrived(CDS)
    session.on(cds("3", "a"))
    assert session.arrived(CDS)
    assert not session.arrived(LDS)
    session.on(EnvoyOpened())
    session.on(Request(CDS))
    session.on(Request(CDS, nonce="1"))
    assert session.versions == {CDS: "3", LDS: ""}
