"""The relay's state machine where both sides speak state of the world, as transcripts."""

from tests.unit.xds.transcript import CDS, EDS, LDS, NDS, names, play
from vmagent.xds import types
from vmagent.xds.kind import MOST_UNANSWERED
from vmagent.xds.messages import (
    Ask,
    EnvoyClosed,
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


def cds(version: str, nonce: str, **resources: bytes) -> Update:
    """Without the bytes it came as, so that what is made of it gets a nonce of our own: 1, 2, 3, …"""
    return Update(CDS, version, nonce, resources)


def eds(version: str, nonce: str, **resources: bytes) -> Update:
    return Update(EDS, version, nonce, resources)


def given(update: Update, nonce: str) -> Give:
    return Give(update.type_url, update.version, nonce, update.resources)


def passed(update: Update) -> Give:
    """As the bytes it came as, nonce and all."""
    return Give(update.type_url, update.version, update.nonce, update.resources, update.raw)


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


def test_a_rejected_update_keeps_the_last_good_version_across_a_reconnect() -> None:
    good, bad = cds("7", "a"), cds("8", "b")
    play(
        Session((CDS,)),
        UpstreamOpened(), EnvoyOpened(), Request(CDS),      [Ask(CDS)],
        good, Request(CDS, nonce="1"),               [given(good, "1"), Ask(CDS, version="7", nonce="a")],
        bad, Request(CDS, nonce="2", error="port 0"),
                                   [given(bad, "2"), Ask(CDS, version="7", nonce="b", error="port 0")],
        UpstreamOpened(),                                   [Ask(CDS, version="7")],
    )


def test_an_envoy_that_restarts_on_a_rejected_update_gets_the_last_good_one_after_it() -> None:
    good, bad, mended = cds("7", "a", web=b"7"), cds("8", "b", web=b"8"), cds("9", "c", web=b"9")
    play(
        Session((CDS,)),
        UpstreamOpened(), EnvoyOpened(), Request(CDS),      [Ask(CDS)],
        good, Request(CDS, nonce="1"),               [given(good, "1"), Ask(CDS, version="7", nonce="a")],
        bad, Request(CDS, nonce="2", error="no"),
                                   [given(bad, "2"), Ask(CDS, version="7", nonce="b", error="no")],
        EnvoyClosed(), EnvoyOpened(), Request(CDS),         [Give(CDS, "8", "3", {"web": b"8"})],
        Request(CDS, nonce="3", error="no"),                [Give(CDS, "7", "4", {"web": b"7"})],
        Request(CDS, nonce="4"),                            [],
        UpstreamOpened(),                                   [Ask(CDS, version="7")],
        mended, Request(CDS, nonce="5"),           [given(mended, "5"), Ask(CDS, version="9", nonce="c")],
    )


def test_an_envoy_that_rejects_the_last_good_version_too_is_not_given_it_for_ever() -> None:
    good, bad = cds("7", "a", web=b"7"), cds("8", "b", web=b"8")
    play(
        Session((CDS,)),
        UpstreamOpened(), EnvoyOpened(), Request(CDS),      [Ask(CDS)],
        good, Request(CDS, nonce="1"),               [given(good, "1"), Ask(CDS, version="7", nonce="a")],
        EnvoyClosed(), bad, EnvoyOpened(), Request(CDS),    [Give(CDS, "8", "2", {"web": b"8"})],
        Request(CDS, nonce="2", error="no"),
                       [Ask(CDS, version="7", nonce="b", error="no"), Give(CDS, "7", "3", {"web": b"7"})],
        Request(CDS, nonce="3", error="neither"),           [],
        Request(CDS, nonce="3", error="neither"),           [],
    )


def test_what_envoy_wants_is_asked_for_once_and_an_acknowledgement_carries_the_new_names() -> None:
    first = eds("1", "a", x=b"1")
    play(
        Session(()),
        UpstreamOpened(), EnvoyOpened(),                    [],
        Request(EDS, names("x")),                           [Ask(EDS, names("x"))],
        first,                                              [given(first, "1")],
        Request(EDS, names("x", "y"), "1"),                 [Ask(EDS, names("x", "y"), "1", "a")],
        Request(EDS, names("y"), "1"),                      [Ask(EDS, names("y"), "1", "a")],
    )


def test_a_cluster_that_changed_gets_its_endpoints_once_more() -> None:
    """Envoy repeats its request then, and waits; the control plane has nothing new to say."""
    first = eds("1", "a", x=b"1")
    play(
        Session(()),
        UpstreamOpened(), EnvoyOpened(), Request(EDS, names("x")),      [Ask(EDS, names("x"))],
        first, Request(EDS, names("x"), "1"),     [given(first, "1"), Ask(EDS, names("x"), "1", "a")],
        Request(EDS, names("x"), "1"),                      [Give(EDS, "1", "2", {"x": b"1"})],
        Request(EDS, names("x"), "2"),                      [],
    )


def test_names_that_change_while_a_response_is_on_its_way_go_along_with_its_verdict() -> None:
    """istiod passes over a request with an older nonce than its last response's, names and all."""
    one, two = eds("1", "a", x=b"1"), eds("2", "b", x=b"2")
    play(
        Session(()),
        UpstreamOpened(), EnvoyOpened(), Request(EDS, names("x")), one,
                                                            [Ask(EDS, names("x")), given(one, "1")],
        Request(EDS, names("x"), "1"),                      [Ask(EDS, names("x"), "1", "a")],
        Request(EDS, names("x", "y"), "1"),                 [Ask(EDS, names("x", "y"), "1", "a")],
        two,                                                [given(two, "2")],
        Request(EDS, names("x", "y"), "1"),                 [],
        Request(EDS, names("x", "y"), "2"),                 [Ask(EDS, names("x", "y"), "2", "b")],
    )


def test_names_that_istiod_may_have_missed_follow_a_rejection_in_a_request_of_their_own() -> None:
    """From a rejection istiod takes no names at all."""
    one, two = eds("1", "a", x=b"1"), eds("2", "b", x=b"bad")
    play(
        Session(()),
        UpstreamOpened(), EnvoyOpened(), Request(EDS, names("x")), one,
                                                            [Ask(EDS, names("x")), given(one, "1")],
        Request(EDS, names("x"), "1"),                      [Ask(EDS, names("x"), "1", "a")],
        Request(EDS, names("x", "y"), "1"),                 [Ask(EDS, names("x", "y"), "1", "a")],
        two,                                                [given(two, "2")],
        Request(EDS, names("x", "y"), "2", "no"),
                    [Ask(EDS, names("x", "y"), "1", "b", "no"), Ask(EDS, names("x", "y"), "1", "b")],
    )


def test_names_that_an_update_has_answered_need_no_request_of_their_own() -> None:
    one, two = eds("1", "a", x=b"1"), eds("2", "b", y=b"bad")
    play(
        Session(()),
        UpstreamOpened(), EnvoyOpened(), Request(EDS, names("x")), one,
                                                            [Ask(EDS, names("x")), given(one, "1")],
        Request(EDS, names("x", "y"), "1"),                 [Ask(EDS, names("x", "y"), "1", "a")],
        two,                                                [given(two, "2")],
        Request(EDS, names("x", "y"), "2", "no"),           [Ask(EDS, names("x", "y"), "1", "b", "no")],
    )


def test_a_second_envoy_gets_everything_held_although_upstream_sent_only_differences() -> None:
    one, two = eds("1", "a", x=b"1", y=b"1"), eds("2", "b", x=b"2")
    play(
        Session(()),
        UpstreamOpened(), EnvoyOpened(),                    [],
        Request(EDS, names("x", "y")),                      [Ask(EDS, names("x", "y"))],
        one, Request(EDS, names("x", "y"), "1"),  [given(one, "1"), Ask(EDS, names("x", "y"), "1", "a")],
        two, Request(EDS, names("x", "y"), "2"),  [given(two, "2"), Ask(EDS, names("x", "y"), "2", "b")],
        EnvoyClosed(), EnvoyOpened(),                       [],
        Request(EDS, names("x", "y")),            [Give(EDS, "2", "3", {"x": b"2", "y": b"1"})],
        Request(EDS, names("x", "y"), "3"),                 [],
    )


def test_what_envoy_gave_up_is_not_held_for_the_next_one() -> None:
    play(
        Session(()),
        UpstreamOpened(), EnvoyOpened(), Request(EDS, names("x", "y")), [Ask(EDS, names("x", "y"))],
        EnvoyClosed(), eds("1", "a", x=b"1", y=b"1"),       [],
        EnvoyOpened(),
        Request(EDS, names("x")),
                                [Ask(EDS, names("x"), "", "a"), Give(EDS, "1", "1", {"x": b"1"})],
    )


def test_a_late_response_for_names_that_were_given_up_is_passed_on_and_not_held() -> None:
    late = eds("2", "b", x=b"2", y=b"2")
    play(
        Session(()),
        UpstreamOpened(), EnvoyOpened(), Request(EDS, names("x", "y")), [Ask(EDS, names("x", "y"))],
        Request(EDS, names("y")),                           [Ask(EDS, names("y"))],
        late,                                               [given(late, "1")],
        EnvoyOpened(), Request(EDS, names("y")),            [Give(EDS, "2", "2", {"y": b"2"})],
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


def test_whatever_names_envoy_asks_clusters_by_it_gets_all_of_them() -> None:
    play(
        Session((CDS,)),
        UpstreamOpened(), cds("1", "a", web=b"1", db=b"1"), [Ask(CDS)],
        EnvoyOpened(), Request(CDS, names("*", "web")),
                                                    [Give(CDS, "1", "1", {"web": b"1", "db": b"1"})],
        Request(CDS, names("web"), "1"),                    [Ask(CDS, version="1", nonce="a")],
        UpstreamOpened(),                                   [Ask(CDS, version="1")],
    )


def test_a_type_that_only_envoy_knows_is_asked_for_with_or_without_names() -> None:
    update = Update("scoped routes", "1", "a", {"s": b"1"})
    play(
        Session(()),
        UpstreamOpened(), EnvoyOpened(), Request("scoped routes"), [Ask("scoped routes")],
        update,                                             [given(update, "1")],
        Request("scoped routes", nonce="1"),       [Ask("scoped routes", version="1", nonce="a")],
        EnvoyOpened(), Request("scoped routes"),   [Give("scoped routes", "1", "2", {"s": b"1"})],
        UpstreamOpened(),                                   [Ask("scoped routes", version="1")],
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


def test_a_reconnect_asks_again_for_all_names_with_the_versions_in_use_and_no_nonce() -> None:
    update = eds("1", "a", x=b"1")
    play(
        Session((CDS,)),
        UpstreamOpened(), EnvoyOpened(), Request(EDS, names("x")), [Ask(CDS), Ask(EDS, names("x"))],
        update, Request(EDS, names("x"), "1"),    [given(update, "1"), Ask(EDS, names("x"), "1", "a")],
        UpstreamClosed(),
        Request(EDS, names("x", "y"), "1"),                 [],
        UpstreamOpened(),                                   [Ask(CDS), Ask(EDS, names("x", "y"), "1")],
    )


def test_an_envoy_that_starts_while_the_control_plane_is_away_gets_everything() -> None:
    play(
        Session((CDS,)),
        UpstreamOpened(), cds("1", "a", web=b"w"), UpstreamClosed(), [Ask(CDS)],
        EnvoyOpened(), Request(CDS),                        [Give(CDS, "1", "1", {"web": b"w"})],
        Request(CDS, nonce="1"),                            [],
        Request(EDS, names("web")),                         [],
        UpstreamOpened(),                             [Ask(CDS, version="1"), Ask(EDS, names("web"))],
    )


def test_a_type_that_envoy_gave_up_is_not_asked_for_again_and_a_late_response_passed_over() -> None:
    play(
        Session(()),
        UpstreamOpened(), EnvoyOpened(), Request(EDS, names("x")), [Ask(EDS, names("x"))],
        Request(EDS),                                       [Ask(EDS)],
        eds("1", "a", x=b"1"),                              [],
        UpstreamOpened(),                                   [],
        Request(EDS, names("x")),                           [Ask(EDS, names("x"))],
    )


def test_a_verdict_on_a_response_of_a_dead_stream_is_kept_to_ourselves_but_counts() -> None:
    update = cds("1", "a")
    play(
        Session((CDS,)),
        UpstreamOpened(), EnvoyOpened(), Request(CDS), update, [Ask(CDS), given(update, "1")],
        UpstreamOpened(),                                   [Ask(CDS)],
        Request(CDS, nonce="1"),                            [],
        UpstreamOpened(),                                   [Ask(CDS, version="1")],
    )


def test_a_nonce_that_two_streams_of_the_control_plane_have_in_common_is_told_apart() -> None:
    old, new = (Update(CDS, version, "7", {"web": b"w"}, b"raw") for version in ("1", "2"))
    play(
        Session((CDS,)),
        UpstreamOpened(), EnvoyOpened(), Request(CDS), old, [Ask(CDS), passed(old)],
        UpstreamOpened(), new,                              [Ask(CDS), given(new, "1")],
        Request(CDS, nonce="7", error="old is bad"),        [],
        Request(CDS, nonce="1"),                            [Ask(CDS, version="2", nonce="7")],
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


def test_a_nonce_of_an_earlier_envoy_stream_or_of_nobodys_means_nothing() -> None:
    update = cds("1", "a")
    play(
        Session((CDS,)),
        UpstreamOpened(), EnvoyOpened(), Request(CDS), update, [Ask(CDS), given(update, "1")],
        EnvoyOpened(), Request(CDS, nonce="1"),             [Give(CDS, "1", "2", {})],
        Request(CDS, nonce="1", error="no"), Request(CDS, nonce="x"), [],
        Request(CDS, nonce="2"),                            [Ask(CDS, version="1", nonce="a")],
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
