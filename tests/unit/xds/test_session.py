"""The relay's state machine, as transcripts: events down the page, commands beside them."""

from vmagent.xds import types
from vmagent.xds.messages import (
    Ask,
    Command,
    EnvoyClosed,
    EnvoyOpened,
    Event,
    Give,
    Health,
    Request,
    Take,
    Update,
    UpstreamClosed,
    UpstreamOpened,
    Verdict,
)
from vmagent.xds.session import MOST_UNANSWERED, Session

CDS, EDS, LDS, NDS = types.CLUSTER, types.ENDPOINT, types.LISTENER, types.NAME_TABLE


def play(session: Session, *script: Event | list[Command]) -> None:
    """Events go in; each list is what must have come out by then."""
    seen: list[Command] = []
    for line in script:
        if isinstance(line, list):
            assert seen == line, f"\nexpected {line}\n     got {seen}"
            seen = []
        else:
            seen += session.on(line)
    assert seen == [], f"nobody asked about {seen}"


def cds(version: str, nonce: str, **resources: bytes) -> Update:
    return Update(CDS, version, nonce, resources, b"raw-" + nonce.encode())


def eds(version: str, nonce: str, **resources: bytes) -> Update:
    return Update(EDS, version, nonce, resources, b"raw-" + nonce.encode())


def given(update: Update) -> Give:
    return Give(update.type_url, update.version, update.nonce, update.resources, update.raw)


def names(*these: str) -> frozenset[str]:
    return frozenset(these)


# fmt: off

def test_the_agent_subscribes_by_itself_before_any_envoy_asks() -> None:
    play(
        Session((CDS, LDS, NDS)),
        UpstreamOpened(),                                   [Ask(CDS), Ask(LDS), Ask(NDS)],
        cds("1", "a", web=b"w"),                            [],
        EnvoyOpened(), Request(CDS),                        [Give(CDS, "1", "held-1", {"web": b"w"})],
        Request(CDS, nonce="held-1"),                       [Ask(CDS, version="1", nonce="a")],
    )


def test_an_update_passes_through_as_the_bytes_it_came_as() -> None:
    update = cds("1", "a", web=b"w")
    play(
        Session((CDS,)),
        UpstreamOpened(),                                   [Ask(CDS)],
        EnvoyOpened(), Request(CDS),                        [],
        update,                                             [given(update)],
        Request(CDS, nonce="a"),                            [Ask(CDS, version="1", nonce="a")],
    )


def test_a_rejected_update_keeps_the_last_good_version_across_a_reconnect() -> None:
    good, bad = cds("7", "a"), cds("8", "b")
    play(
        Session((CDS,)),
        UpstreamOpened(), EnvoyOpened(), Request(CDS),      [Ask(CDS)],
        good, Request(CDS, nonce="a"),                      [given(good), Ask(CDS, version="7", nonce="a")],
        bad, Request(CDS, nonce="b", error="port 0"),
                                        [given(bad), Ask(CDS, version="7", nonce="b", error="port 0")],
        UpstreamOpened(),                                   [Ask(CDS, version="7")],
    )


def test_what_envoy_wants_is_asked_for_once_and_an_acknowledgement_carries_the_new_names() -> None:
    first = eds("1", "a", x=b"1")
    play(
        Session(()),
        UpstreamOpened(), EnvoyOpened(),                    [],
        Request(EDS, names("x")),                           [Ask(EDS, names("x"))],
        first,                                              [given(first)],
        Request(EDS, names("x", "y"), "a"),                 [Ask(EDS, names("x", "y"), "1", "a")],
        Request(EDS, names("x", "y"), "a"),                 [],
        Request(EDS, names("y"), "a"),                      [Ask(EDS, names("y"), "1", "a")],
    )


def test_a_second_envoy_gets_everything_held_although_upstream_sent_only_differences() -> None:
    one, two = eds("1", "a", x=b"1", y=b"1"), eds("2", "b", x=b"2")
    play(
        Session(()),
        UpstreamOpened(), EnvoyOpened(),                    [],
        Request(EDS, names("x", "y")),                      [Ask(EDS, names("x", "y"))],
        one, Request(EDS, names("x", "y"), "a"),       [given(one), Ask(EDS, names("x", "y"), "1", "a")],
        two, Request(EDS, names("x", "y"), "b"),       [given(two), Ask(EDS, names("x", "y"), "2", "b")],
        EnvoyClosed(), EnvoyOpened(),                       [],
        Request(EDS, names("x", "y")),            [Give(EDS, "2", "held-1", {"x": b"2", "y": b"1"})],
        Request(EDS, names("x", "y"), "held-1"),            [],
    )


def test_what_envoy_gave_up_is_not_held_for_the_next_one() -> None:
    play(
        Session(()),
        UpstreamOpened(), EnvoyOpened(), Request(EDS, names("x", "y")), [Ask(EDS, names("x", "y"))],
        EnvoyClosed(), eds("1", "a", x=b"1", y=b"1"),       [],
        EnvoyOpened(),
        Request(EDS, names("x")),
                            [Ask(EDS, names("x"), "", "a"), Give(EDS, "1", "held-1", {"x": b"1"})],
    )


def test_a_cluster_that_the_newest_response_leaves_out_is_gone() -> None:
    play(
        Session((CDS,)),
        UpstreamOpened(), cds("1", "a", web=b"1", db=b"1"), cds("2", "b", web=b"2"), [Ask(CDS)],
        EnvoyOpened(), Request(CDS),                        [Give(CDS, "2", "held-1", {"web": b"2"})],
    )


def test_an_empty_set_of_clusters_is_an_answer() -> None:
    play(
        Session((CDS,)),
        UpstreamOpened(), cds("1", "a"),                    [Ask(CDS)],
        EnvoyOpened(), Request(CDS),                        [Give(CDS, "1", "held-1", {})],
    )


def test_a_reconnect_asks_again_for_all_names_with_the_versions_in_use_and_no_nonce() -> None:
    update = eds("1", "a", x=b"1")
    play(
        Session((CDS,)),
        UpstreamOpened(), EnvoyOpened(), Request(EDS, names("x")), [Ask(CDS), Ask(EDS, names("x"))],
        update, Request(EDS, names("x"), "a"),         [given(update), Ask(EDS, names("x"), "1", "a")],
        UpstreamClosed(),
        Request(EDS, names("x", "y"), "a"),                 [],
        UpstreamOpened(),                                   [Ask(CDS), Ask(EDS, names("x", "y"), "1")],
    )


def test_a_type_that_envoy_gave_up_is_not_asked_for_again() -> None:
    play(
        Session(()),
        UpstreamOpened(), EnvoyOpened(), Request(EDS, names("x")), [Ask(EDS, names("x"))],
        Request(EDS),                                       [Ask(EDS)],
        UpstreamOpened(),                                   [],
    )


def test_a_verdict_on_a_response_of_a_dead_stream_is_kept_to_ourselves() -> None:
    update = cds("1", "a")
    play(
        Session((CDS,)),
        UpstreamOpened(), EnvoyOpened(), Request(CDS), update, [Ask(CDS), given(update)],
        UpstreamOpened(),                                   [Ask(CDS)],
        Request(CDS, nonce="a"),                            [],
    )


def test_a_verdict_on_something_overtaken_is_left_to_the_next_one() -> None:
    one, two = cds("1", "a"), cds("2", "b")
    play(
        Session((CDS,)),
        UpstreamOpened(), EnvoyOpened(), Request(CDS), one, two, [Ask(CDS), given(one), given(two)],
        Request(CDS, nonce="a"),                            [],
        Request(CDS, nonce="b"),                            [Ask(CDS, version="2", nonce="b")],
    )


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
    session.on(Request(CDS, nonce="held-1"))
    assert session.versions == {CDS: "3", LDS: ""}
