"""A session that begins with what the last one had, as transcripts."""

from tests.unit.xds.lastgood.kept import section
from tests.unit.xds.transcript import (
    CDS,
    EDS,
    LDS,
    NDS,
    answer,
    first,
    gave,
    names,
    play,
    takes,
    update,
    wants,
)
from vmagent.xds.messages import (
    Ask,
    EnvoyClosed,
    EnvoyOpened,
    Give,
    Request,
    Restored,
    Take,
    Update,
    UpstreamClosed,
    UpstreamOpened,
    Verdict,
)
from vmagent.xds.session import Session


def back(*more: str) -> Restored:
    """One cluster, its endpoints and no listener."""
    return Restored(
        (
            section(CDS, "7", web="w@3"),
            section(EDS, "8", "web", *more, web="10.0.0.1", **dict.fromkeys(more, "10.0.0.2")),
            section(LDS, "9"),
        )
    )


def given(url: str, version: str, nonce: str, **resources: bytes) -> Give:
    return Give(url, version, nonce, resources)


def endpoints(nonce: str) -> Give:
    return gave(EDS, nonce, {"web": "10.0.0.1"}, version="8")


# fmt: off

def test_an_envoy_gets_what_the_last_run_had_and_nobody_is_told() -> None:
    session = Session((CDS, LDS))
    play(
        session,
        back(),                                             [],
        EnvoyOpened(), Request(CDS),                        [given(CDS, "7", "1", web=b"w")],
        Request(CDS, nonce="1"),                            [],
        Request(EDS, names("web")),                         [given(EDS, "8", "2", web=b"10.0.0.1")],
        Request(EDS, names("web"), nonce="2"),              [],
        Request(LDS),                                       [given(LDS, "9", "3")],
    )
    assert session.restored


def test_an_incremental_envoy_that_was_there_before_gets_it_at_once() -> None:
    play(
        Session((CDS, LDS)),
        EnvoyOpened(delta=True), wants(CDS),                [],
        back(),                                             [gave(CDS, "1", {"web": "w@3"}, version="7")],
        takes(CDS, "1"),                                    [],
        wants(EDS, "web"),                                  [endpoints("2")],
    )


def test_the_name_table_is_taken_as_if_it_had_come() -> None:
    session = Session((CDS, NDS))
    [take] = session.on(Restored((section(CDS), section(NDS, "2", **{"": "names"}))))
    assert isinstance(take, Take)
    assert dict(take.update.resources) == {"": b"names"}
    assert session.on(Verdict(NDS, take.update.nonce)) == []
    assert session.versions[NDS] == "2"


def test_a_control_plane_that_returns_is_told_only_of_what_runs_here_now() -> None:
    """No Envoy of this life has accepted the endpoints yet."""
    session = Session((CDS, LDS))
    play(
        session,
        back(),                                             [],
        EnvoyOpened(delta=True), wants(CDS),                [gave(CDS, "1", {"web": "w@3"}, version="7")],
        takes(CDS, "1"),                                    [],
        UpstreamOpened(delta=True),
        [first(CDS, versions={"web": "3"}), first(LDS), first(EDS, "web")],
        update(CDS, "a", {"web": "w@3"}),                   [answer(CDS, "a")],
    )
    assert session.restored, "of endpoints and listeners it has not said anything yet"
    play(
        session,
        update(EDS, "b", {"web": "10.0.0.9"}),              [],
        update(LDS, "c"),                                   [],
    )
    assert not session.restored


def test_state_of_the_world_names_the_version_that_envoy_accepted() -> None:
    play(
        Session((CDS, LDS)),
        back(),                                             [],
        EnvoyOpened(), Request(CDS),                        [given(CDS, "7", "1", web=b"w")],
        Request(CDS, nonce="1"),                            [],
        UpstreamOpened(),
        [Ask(CDS, version="7"), Ask(LDS), Ask(EDS, names("web"))],
        Update(CDS, "11", "a", {"shop": b"s"}),             [given(CDS, "11", "2", shop=b"s")],
        Request(CDS, nonce="2"),                            [Ask(CDS, version="11", nonce="a")],
    )


def test_what_is_no_more_is_taken_away_also_by_a_control_plane_that_was_not_told_of_it() -> None:
    play(
        Session((CDS, LDS)),
        back(),                                             [],
        EnvoyOpened(delta=True), wants(CDS),                [gave(CDS, "1", {"web": "w@3"}, version="7")],
        UpstreamOpened(delta=True),                         [first(CDS), first(LDS), first(EDS, "web")],
        update(CDS, "a", {"shop": "s@1"}),
        [gave(CDS, "2", {"shop": "s@1"}, "web", version="v-a")],
    )


def test_a_stream_that_is_open_and_silent_does_not_stand_in_the_way() -> None:
    play(
        Session((CDS, LDS)),
        UpstreamOpened(delta=True),                         [first(CDS), first(LDS)],
        back(),                                             [first(EDS, "web")],
        EnvoyOpened(delta=True), wants(CDS),                [gave(CDS, "1", {"web": "w@3"}, version="7")],
        update(CDS, "a", {"shop": "s@1"}),
        [gave(CDS, "2", {"shop": "s@1"}, "web", version="v-a")],
    )


def test_an_envoy_that_rejects_what_was_put_back_leaves_nothing_to_claim() -> None:
    play(
        Session((CDS, LDS)),
        back(),                                             [],
        EnvoyOpened(delta=True), wants(CDS),                [gave(CDS, "1", {"web": "w@3"}, version="7")],
        takes(CDS, "1", "no such field"),                   [],
        UpstreamOpened(delta=True),                         [first(CDS), first(LDS), first(EDS, "web")],
    )


def test_names_that_envoy_asks_for_one_after_the_other_are_still_there() -> None:
    play(
        Session((CDS, LDS)),
        back("shop"),                                       [],
        EnvoyOpened(), Request(EDS, names("web")),          [given(EDS, "8", "1", web=b"10.0.0.1")],
        Request(EDS, names("web"), nonce="1"),              [],
        Request(EDS, names("web", "shop"), nonce="1"),      [given(EDS, "8", "2", shop=b"10.0.0.2")],
    )


def test_an_envoy_that_restarts_while_nobody_is_there_gets_everything_by_and_by() -> None:
    session = Session((CDS,))
    play(
        session,
        UpstreamOpened(),                                   [Ask(CDS)],
        EnvoyOpened(), Request(EDS, names("a", "b")),       [Ask(EDS, names("a", "b"))],
        Update(EDS, "1", "x", {"a": b"1", "b": b"2"}),      [given(EDS, "1", "1", a=b"1", b=b"2")],
        Request(EDS, names("a", "b"), nonce="1"),           [Ask(EDS, names("a", "b"), "1", "x")],
        UpstreamClosed(), EnvoyClosed(),                    [],
        EnvoyOpened(), Request(EDS, names("a")),            [given(EDS, "1", "2", a=b"1")],
        Request(EDS, names("a"), nonce="2"),                [],
        Request(EDS, names("a", "b")),                      [given(EDS, "1", "3", b=b"2")],
        Request(EDS, names("a"), nonce="3"),                [],
        UpstreamOpened(),                                   [Ask(CDS), Ask(EDS, names("a"), "1")],
    )


# fmt: on


def accepted() -> Session:
    session = Session((CDS, LDS))
    for event in (
        UpstreamOpened(delta=True),
        EnvoyOpened(delta=True),
        wants(CDS),
        update(CDS, "a", {"web": "w@3"}),
        takes(CDS, "a"),
        wants(EDS, "web", "absent"),
        update(EDS, "b", {"web": "10.0.0.1"}, "absent"),
        takes(EDS, "b"),
        wants(LDS),
        update(LDS, "c"),
    ):
        for command in session.on(event):
            if isinstance(command, Give):
                session.on(takes(command.type_url, command.nonce))
    return session


def test_what_was_accepted_of_everything_is_what_is_kept() -> None:
    clusters, listeners, endpoints = accepted().picture
    assert (clusters.url, clusters.wanted.everything) == (CDS, True)
    assert {name: (piece.value, piece.version) for name, piece in clusters.pieces.items()} == {
        "web": (b"w", "3")
    }
    assert (listeners.url, dict(listeners.pieces)) == (LDS, {})
    assert (endpoints.url, endpoints.wanted.names) == (EDS, names("web", "absent"))
    assert list(endpoints.pieces) == ["web"]


def test_what_was_rejected_is_not_kept() -> None:
    session = accepted()
    [give] = session.on(update(CDS, "d", {"web": "broken@4"}))
    assert isinstance(give, Give)
    session.on(takes(CDS, give.nonce, "no"))
    assert session.picture[0].pieces["web"].value == b"w"


def test_there_is_nothing_to_keep_while_endpoints_are_on_their_way() -> None:
    session = Session((CDS, LDS))
    for event in (
        UpstreamOpened(delta=True),
        EnvoyOpened(delta=True),
        wants(CDS),
        wants(LDS),
        wants(EDS, "web"),
    ):
        session.on(event)
    for each in (update(CDS, "a", {"web": "w@3"}), update(LDS, "c")):
        for command in session.on(each):
            assert isinstance(command, Give)
            session.on(takes(command.type_url, command.nonce))
    assert session.picture == ()


def test_what_was_kept_and_put_back_is_the_same_again() -> None:
    before = accepted().picture
    session = Session((CDS, LDS))
    session.on(Restored(before))
    for event in (EnvoyOpened(delta=True), wants(CDS), wants(EDS, "web", "absent"), wants(LDS)):
        for command in session.on(event):
            assert isinstance(command, Give)
            session.on(takes(command.type_url, command.nonce))
    after = session.picture
    assert [(each.url, each.version, each.wanted) for each in after] == [
        (each.url, each.version, each.wanted) for each in before
    ]
    for mine, theirs in zip(after, before, strict=True):
        assert {n: p.value for n, p in mine.pieces.items()} == {n: p.value for n, p in theirs.pieces.items()}
