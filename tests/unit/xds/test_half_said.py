"""A session whose control plane has begun to speak and gone, and what the last run had, as transcripts."""

from tests.unit.xds.lastgood.kept import section
from tests.unit.xds.test_restoring import given
from tests.unit.xds.transcript import CDS, EDS, LDS, RDS, first, gave, names, play, takes, update, wants
from vmagent.xds.messages import (
    Ask,
    DeltaAsk,
    EnvoyOpened,
    Give,
    Request,
    Restored,
    Update,
    UpstreamClosed,
    UpstreamOpened,
)
from vmagent.xds.session import Session


def full(*more: str) -> Restored:
    """Two clusters with their endpoints, a listener with its routes."""
    return Restored(
        (
            section(CDS, "7", web="w@3", shop="s@3"),
            section(LDS, "9", in_="l@3"),
            section(EDS, "8", "web", "shop", *more, web="10.0.0.1", shop="10.0.0.2"),
            section(RDS, "6", "80", **{"80": "r@3"}),
        )
    )


# fmt: off

def test_what_it_said_stays_and_is_filled_up_with_what_was_kept() -> None:
    session = Session((CDS, LDS))
    play(
        session,
        UpstreamOpened(delta=True),                         [first(CDS), first(LDS)],
        EnvoyOpened(delta=True), wants(CDS), wants(LDS),    [],
        update(CDS, "a", {"web": "w@4"}),                   [gave(CDS, "1", {"web": "w@4"}, version="v-a")],
        wants(EDS, "web"),                                  [DeltaAsk(EDS, names("web"), first=True)],
        UpstreamClosed(),                                   [],
    )
    assert session.wanting
    play(
        session,
        full(),
        [gave(LDS, "2", {"in_": "l@3"}, version="9"), gave(EDS, "3", {"web": "10.0.0.1"}, version="8")],
    )
    assert not session.wanting
    assert session.restored


def test_endpoints_that_it_said_are_newer_than_those_that_were_kept() -> None:
    play(
        Session((CDS, LDS)),
        UpstreamOpened(delta=True),                         [first(CDS), first(LDS)],
        EnvoyOpened(delta=True), wants(CDS), wants(LDS),    [],
        update(CDS, "a", {"web": "w@4", "shop": "s@4"}),
        [gave(CDS, "1", {"web": "w@4", "shop": "s@4"}, version="v-a")],
        wants(EDS, "web", "shop"),                          [DeltaAsk(EDS, names("web", "shop"), first=True)],
        update(EDS, "b", {"web": "10.0.0.9"}),
        [gave(EDS, "2", {"web": "10.0.0.9"}, version="v-b")],
        UpstreamClosed(),                                   [],
        full(),
        [gave(LDS, "3", {"in_": "l@3"}, version="9"), gave(EDS, "4", {"shop": "10.0.0.2"}, version="v-b")],
    )


def stuck(*, delta: bool) -> Session:
    """Envoy waits for the endpoints of a cluster that nobody has ever heard of."""
    session = Session((CDS, LDS))
    for event in (
        UpstreamOpened(delta=delta),
        EnvoyOpened(delta=delta),
        wants(CDS) if delta else Request(CDS),
        Update(CDS, "11", "a", {"web": b"w", "new": b"n"}, delta=delta),
        wants(EDS, "web", "new") if delta else Request(EDS, names("web", "new")),
    ):
        session.on(event)
    return session


def test_where_nobody_has_the_endpoints_all_of_what_was_kept_comes_back_incrementally() -> None:
    session = stuck(delta=True)
    play(
        session,
        UpstreamClosed(),                                   [],
        full(),
        [
            gave(CDS, "2", {"web": "w@3", "shop": "s@3"}, "new", version="7"),
            gave(EDS, "3", {"web": "10.0.0.1"}, version="8"),
        ],
        wants(EDS, "shop", without=("new",)),
        [gave(EDS, "4", {"shop": "10.0.0.2"}, version="8")],
    )
    assert not session.wanting


def test_where_nobody_has_the_endpoints_all_of_what_was_kept_comes_back_as_the_state_of_the_world() -> None:
    session = stuck(delta=False)
    play(
        session,
        UpstreamClosed(),                                   [],
        full(),
        [given(CDS, "7", "2", web=b"w", shop=b"s"), given(EDS, "8", "3", web=b"10.0.0.1")],
        Request(EDS, names("web", "shop"), nonce="3"),      [given(EDS, "8", "4", shop=b"10.0.0.2")],
    )
    assert not session.wanting


def test_a_stream_that_is_open_may_yet_say_it_and_nothing_is_taken_back() -> None:
    session = stuck(delta=True)
    play(
        session,
        full(),
        [gave(EDS, "2", {"web": "10.0.0.1"}, version="8"), first(RDS, "80")],
    )
    assert session.wanting


def test_that_there_is_nothing_under_a_name_is_kept_and_told_where_it_can_be() -> None:
    play(
        stuck(delta=True),
        UpstreamClosed(),                                   [],
        full("new"),
        [gave(EDS, "2", {"web": "10.0.0.1"}, "new", version="8")],
    )


def test_what_is_about_to_be_taken_back_is_claimed_to_nobody() -> None:
    """Envoy has accepted the clusters of this life, and has not answered to those that came back."""
    session = stuck(delta=True)
    session.on(takes(CDS, "1"))
    session.on(UpstreamClosed())
    session.on(full())
    play(
        session,
        UpstreamOpened(delta=True),
        [first(CDS), first(LDS), DeltaAsk(EDS, names("web", "new"), first=True), first(RDS, "80")],
        update(CDS, "b", {"web": "w@4"}),
        [gave(CDS, "4", {"web": "w@4"}, "shop", version="v-b")],
    )


def test_the_version_of_what_is_about_to_be_taken_back_is_told_to_nobody() -> None:
    session = stuck(delta=False)
    session.on(Request(CDS, nonce="1"))
    session.on(UpstreamClosed())
    session.on(full())
    play(
        session,
        UpstreamOpened(),
        [Ask(CDS), Ask(LDS), Ask(EDS, names("web", "new")), Ask(RDS, names("80"))],
    )


def test_it_is_wanting_until_somebody_said_all_and_settled_when_envoy_has_accepted_it() -> None:
    session = Session((CDS, LDS))
    assert session.wanting
    session.on(full())
    assert not session.wanting
    assert not session.settled
    requests = wants(CDS), wants(EDS, "web", "shop"), wants(LDS), wants(RDS, "80")
    for event in (EnvoyOpened(delta=True), *requests):
        assert not session.settled
        for command in session.on(event):
            assert isinstance(command, Give)
            session.on(takes(command.type_url, command.nonce))
    assert session.settled

# fmt: on
