"""The relay's state machine where its two sides speak different variants, as transcripts."""

from tests.unit.xds.transcript import (
    CDS,
    EDS,
    answer,
    first,
    gave,
    more,
    names,
    play,
    takes,
    update,
    wants,
)
from vmagent.xds.messages import Ask, EnvoyClosed, EnvoyOpened, Give, Quiet, Request, Update, UpstreamOpened
from vmagent.xds.session import Session

SOTW, DELTA = UpstreamOpened(), UpstreamOpened(delta=True)
ENVOY_SOTW, ENVOY_DELTA = EnvoyOpened(), EnvoyOpened(delta=True)


def whole(url: str, nonce: str, **resources: bytes) -> Update:
    return Update(url, f"v-{nonce}", nonce, resources, b"raw")


# fmt: off

def test_an_incremental_envoy_is_told_the_differences_of_the_state_of_the_world() -> None:
    """The control plane was asked incrementally, and did not speak it."""
    play(
        Session((CDS,)),
        SOTW, ENVOY_DELTA, wants(CDS),               [Ask(CDS)],
        whole(CDS, "a", web=b"1", db=b"1"),          [gave(CDS, "1", {"web": "1", "db": "1"}, version="v-a")],
        takes(CDS, "1"),                             [Ask(CDS, version="v-a", nonce="a")],
        whole(CDS, "b", web=b"2", new=b"1"),
                                    [gave(CDS, "2", {"web": "2", "new": "1"}, "db", version="v-b")],
        takes(CDS, "2"),                             [Ask(CDS, version="v-b", nonce="b")],
        whole(CDS, "c", web=b"2", new=b"1"),         [Ask(CDS, version="v-b", nonce="c")],
    )


def test_an_empty_world_is_an_answer_to_an_incremental_envoy_too() -> None:
    play(
        Session((CDS,)),
        SOTW, ENVOY_DELTA, wants(CDS),               [Ask(CDS)],
        whole(CDS, "a"),                             [gave(CDS, "1", version="v-a")],
        takes(CDS, "1"),                             [Ask(CDS, version="v-a", nonce="a")],
    )


def test_endpoints_pass_whole_in_whatever_variant_for_a_cluster_may_be_waiting() -> None:
    play(
        Session(()),
        SOTW, ENVOY_DELTA, wants(EDS, "x", "y"),     [Ask(EDS, names("x", "y"))],
        whole(EDS, "a", x=b"1", y=b"1"),             [gave(EDS, "1", {"x": "1", "y": "1"}, version="v-a")],
        takes(EDS, "1"),                             [Ask(EDS, names("x", "y"), "v-a", "a")],
        whole(EDS, "b", x=b"1", y=b"1"),             [gave(EDS, "2", {"x": "1", "y": "1"}, version="v-b")],
        wants(EDS, "z", without=("x",)),             [Ask(EDS, names("y", "z"), "v-a", "b")],
        takes(EDS, "2"),                             [Ask(EDS, names("y", "z"), "v-b", "b")],
    )


def test_what_an_incremental_envoy_rejected_comes_again_with_the_next_state_of_the_world() -> None:
    play(
        Session((CDS,)),
        SOTW, ENVOY_DELTA, wants(CDS), whole(CDS, "a", web=b"1", db=b"1"),
                                [Ask(CDS), gave(CDS, "1", {"web": "1", "db": "1"}, version="v-a")],
        takes(CDS, "1"),                             [Ask(CDS, version="v-a", nonce="a")],
        whole(CDS, "b", web=b"bad", db=b"1"),        [gave(CDS, "2", {"web": "bad"}, version="v-b")],
        takes(CDS, "2", "no"),                       [Ask(CDS, version="v-a", nonce="b", error="no")],
        whole(CDS, "c", web=b"bad", db=b"1"),        [gave(CDS, "3", {"web": "bad"}, version="v-c")],
    )


def test_clusters_that_are_late_get_their_endpoints_whatever_the_control_plane_speaks() -> None:
    play(
        Session((CDS,)),
        SOTW, ENVOY_DELTA,
        wants(CDS), whole(CDS, "a", web=b"1"), wants(EDS, "web"), whole(EDS, "b", web=b"e"),
        [
            Ask(CDS), gave(CDS, "1", {"web": "1"}, version="v-a"),
            Ask(EDS, names("web")), gave(EDS, "2", {"web": "e"}, version="v-b"),
        ],
        Quiet(),                                     [gave(EDS, "3", {"web": "e"}, version="v-b")],
    )


def test_an_envoy_of_the_state_of_the_world_is_told_the_world_out_of_differences() -> None:
    play(
        Session((CDS,)),
        DELTA, ENVOY_SOTW, Request(CDS),             [first(CDS)],
        update(CDS, "a", {"web": "1", "db": "1"}, raw=b"raw"),
                                                [Give(CDS, "v-a", "1", {"web": b"1", "db": b"1"})],
        Request(CDS, nonce="1"),                     [answer(CDS, "a")],
        update(CDS, "b", {"new": "1"}, "db", raw=b"raw"),
                                                [Give(CDS, "v-b", "2", {"web": b"1", "new": b"1"})],
        Request(CDS, nonce="2", error="no"),         [answer(CDS, "b", "no")],
        EnvoyClosed(), ENVOY_SOTW, Request(CDS),
                                                [Give(CDS, "v-b", "3", {"web": b"1", "new": b"1"})],
        Request(CDS, nonce="3", error="no"),    [Give(CDS, "v-a", "4", {"web": b"1", "db": b"1"})],
    )


def test_an_envoy_of_the_state_of_the_world_hears_of_endpoints_that_changed_and_asks_by_all_names() -> None:
    play(
        Session(()),
        DELTA, ENVOY_SOTW, Request(EDS, names("x", "y")), [first(EDS, "x", "y")],
        update(EDS, "a", {"x": "1", "y": "1"}),      [Give(EDS, "v-a", "1", {"x": b"1", "y": b"1"})],
        Request(EDS, names("x", "z"), "1"),     [answer(EDS, "a"), more(EDS, "z", without=("y",))],
        update(EDS, "b", None, "y"),                 [answer(EDS, "b")],
        update(EDS, "c", {"x": "2"}, "z"),           [Give(EDS, "v-c", "2", {"x": b"2"})],
        Request(EDS, names("x", "z"), "2"),          [answer(EDS, "c")],
    )


def test_names_from_a_rejection_are_told_incrementally_as_well() -> None:
    play(
        Session(()),
        DELTA, ENVOY_SOTW, Request(EDS, names("x")), [first(EDS, "x")],
        update(EDS, "a", {"x": "bad"}),              [Give(EDS, "v-a", "1", {"x": b"bad"})],
        Request(EDS, names("x", "y"), "1", "no"),    [answer(EDS, "a", "no"), more(EDS, "y")],
    )


def test_a_control_plane_that_comes_back_in_another_variant_finds_everything_as_it_was() -> None:
    play(
        Session((CDS,)),
        DELTA, ENVOY_DELTA, wants(CDS), update(CDS, "a", {"web": "1", "db": "1"}),
                                [first(CDS), gave(CDS, "1", {"web": "1", "db": "1"}, version="v-a")],
        takes(CDS, "1"),                             [answer(CDS, "a")],
        SOTW,                                        [Ask(CDS, version="v-a")],
        whole(CDS, "b", web=b"1"),                   [gave(CDS, "2", None, "db", version="v-b")],
        takes(CDS, "2"),                             [Ask(CDS, version="v-b", nonce="b")],
        DELTA,                                       [first(CDS, versions={"web": ""})],
        update(CDS, "c", {"web": "1"}),              [answer(CDS, "c")],
    )


def test_an_envoy_that_comes_back_in_another_variant_gets_everything() -> None:
    play(
        Session((CDS,)),
        DELTA, ENVOY_DELTA, wants(CDS), update(CDS, "a", {"web": "1"}),
                                            [first(CDS), gave(CDS, "1", {"web": "1"}, version="v-a")],
        ENVOY_SOTW, Request(CDS),                    [Give(CDS, "v-a", "2", {"web": b"1"})],
        Request(CDS, nonce="2"),                     [answer(CDS, "a")],
    )

# fmt: on
