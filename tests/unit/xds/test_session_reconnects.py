"""Streams that end and begin again where both sides speak state of the world, as transcripts."""

from tests.unit.xds.transcript import CDS, EDS, cds, eds, given, names, passed, play
from vmagent.xds.messages import (
    Ask,
    EnvoyClosed,
    EnvoyOpened,
    Give,
    Request,
    Update,
    UpstreamClosed,
    UpstreamOpened,
)
from vmagent.xds.session import Session

# fmt: off

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


def test_a_nonce_of_an_earlier_envoy_stream_or_of_nobodys_means_nothing() -> None:
    update = cds("1", "a")
    play(
        Session((CDS,)),
        UpstreamOpened(), EnvoyOpened(), Request(CDS), update, [Ask(CDS), given(update, "1")],
        EnvoyOpened(), Request(CDS, nonce="1"),             [Give(CDS, "1", "2", {})],
        Request(CDS, nonce="1", error="no"), Request(CDS, nonce="x"), [],
        Request(CDS, nonce="2"),                            [Ask(CDS, version="1", nonce="a")],
    )

# fmt: on
