"""Streams that end and begin again where both sides speak incrementally: first the control plane's, then
Envoy's, as transcripts.
"""

from tests.unit.xds.transcript import (
    CDS,
    EDS,
    ENVOY,
    LDS,
    RDS,
    UP,
    answer,
    first,
    gave,
    play,
    served,
    takes,
    update,
    wants,
)
from vmagent.xds.asks import LARGEST_CLAIM
from vmagent.xds.messages import EnvoyClosed, UpstreamClosed
from vmagent.xds.session import Session

# fmt: off

def test_the_rejection_of_a_resource_reaches_the_control_plane_and_a_reconnect_asks_for_it_again() -> None:
    """The version that Envoy has is told, so the one that it does not have is sent again."""
    play(
        Session((CDS,)),
        UP, ENVOY, wants(CDS),                       [first(CDS)],
        update(CDS, "a", {"web": "1@7", "db": "1@7"}),
                                    [gave(CDS, "1", {"web": "1@7", "db": "1@7"}, version="v-a")],
        takes(CDS, "1"),                             [answer(CDS, "a")],
        update(CDS, "b", {"web": "2@8", "new": "2@8"}, "db"),
                                    [gave(CDS, "2", {"web": "2@8", "new": "2@8"}, "db", version="v-b")],
        takes(CDS, "2", "port 0"),                   [answer(CDS, "b", "port 0")],
        UP,                                          [first(CDS, versions={"web": "7", "db": "7"})],
        update(CDS, "c", {"web": "2@8", "new": "2@8"}, "db"),
                                    [gave(CDS, "3", {"web": "2@8", "new": "2@8"}, "db", version="v-c")],
        takes(CDS, "3", "port 0"),                   [answer(CDS, "c", "port 0")],
    )


def test_a_reconnect_tells_what_is_here_and_what_comes_again_all_the_same_is_kept_from_envoy() -> None:
    """istiod gives no versions and sends everything: Envoy would look at all clusters for nothing."""
    served(
        UP,                                          [first(CDS, versions={"web": "", "db": ""})],
        update(CDS, "b", {"web": "1", "db": "1"}, raw=b"raw"), [answer(CDS, "b")],
        update(CDS, "c", {"web": "1"}),              [gave(CDS, "2", {"web": "1"}, version="v-c")],
    )


def test_what_changed_while_the_control_plane_was_away_is_all_that_envoy_hears_of() -> None:
    served(
        UpstreamClosed(), UP,                        [first(CDS, versions={"web": "", "db": ""})],
        update(CDS, "b", {"web": "2", "db": "1", "new": "1"}, raw=b"raw"),
                                    [gave(CDS, "2", {"web": "2", "new": "1"}, version="v-b")],
        takes(CDS, "2"),                             [answer(CDS, "b")],
    )


def test_what_was_removed_while_the_control_plane_was_away_is_removed_as_it_says() -> None:
    served(
        UP,                                          [first(CDS, versions={"web": "", "db": ""})],
        update(CDS, "b", {"web": "1"}, "db", "never heard of", raw=b"raw"),
                                    [gave(CDS, "2", None, "db", version="v-b")],
    )


def test_a_control_plane_that_looks_at_versions_sends_nothing_and_nothing_is_missing() -> None:
    play(
        Session((CDS,)),
        UP, ENVOY, wants(CDS),                       [first(CDS)],
        update(CDS, "a", {"web": "1@7"}),            [gave(CDS, "1", {"web": "1@7"}, version="v-a")],
        takes(CDS, "1"),                             [answer(CDS, "a")],
        UP,                                          [first(CDS, versions={"web": "7"})],
        EnvoyClosed(), ENVOY, wants(CDS),            [gave(CDS, "2", {"web": "1@7"}, version="v-a")],
    )


def test_what_no_envoy_has_accepted_is_not_told_and_what_is_not_sent_again_is_no_more() -> None:
    play(
        Session((CDS,)),
        UP, update(CDS, "a", {"web": "1", "db": "1"}), [first(CDS)],
        UP, update(CDS, "b", {"web": "1"}),          [first(CDS)],
        ENVOY, wants(CDS),                           [gave(CDS, "1", {"web": "1"}, version="v-b")],
    )


def test_more_names_than_istiod_takes_in_one_request_are_not_told() -> None:
    session, long = Session((CDS,)), "x" * 200
    many = {f"{long}{number}": "1" for number in range(LARGEST_CLAIM // 200 + 1)}
    for event in (UP, ENVOY, wants(CDS), update(CDS, "a", many), takes(CDS, "1")):
        session.on(event)
    play(
        session,
        UP,                                          [first(CDS)],
        update(CDS, "b", {f"{long}0": "1"}),
                                    [gave(CDS, "2", None, *(many.keys() - {f"{long}0"}), version="v-b")],
    )


def test_endpoints_come_again_after_a_reconnect_where_a_cluster_has_changed() -> None:
    """Envoy does not ask for the endpoints of a cluster that changed, and waits for them for ever."""
    def endpoints(cluster: str) -> None:
        unchanged = cluster == "1"
        served(
            wants(EDS, "web"),                       [first(EDS, "web")],
            update(EDS, "b", {"web": "e"}),          [gave(EDS, "2", {"web": "e"}, version="v-b")],
            takes(EDS, "2"),                         [answer(EDS, "b")],
            UP, [first(CDS, versions={"web": "", "db": ""}), first(EDS, "web", versions={"web": ""})],
            update(CDS, "c", {"web": cluster, "db": "1"}),
            [answer(CDS, "c")] if unchanged else [gave(CDS, "3", {"web": cluster}, version="v-c")],
            update(EDS, "d", {"web": "e"}),
            [answer(EDS, "d")] if unchanged else [gave(EDS, "4", {"web": "e"}, version="v-d")],
        )
    endpoints("1")
    endpoints("2")


def test_endpoints_that_come_before_the_clusters_after_a_reconnect_pass() -> None:
    served(
        wants(EDS, "web"),                           [first(EDS, "web")],
        update(EDS, "b", {"web": "e"}),              [gave(EDS, "2", {"web": "e"}, version="v-b")],
        takes(EDS, "2"),                             [answer(EDS, "b")],
        UP, [first(CDS, versions={"web": "", "db": ""}), first(EDS, "web", versions={"web": ""})],
        update(EDS, "c", {"web": "e"}),              [gave(EDS, "3", {"web": "e"}, version="v-c")],
    )


def test_a_verdict_on_a_response_of_a_dead_stream_is_kept_to_ourselves_and_the_resource_sent_again() -> None:
    served(
        update(CDS, "b", {"web": "2@8"}),            [gave(CDS, "2", {"web": "2@8"}, version="v-b")],
        UP,                                          [first(CDS, versions={"web": "", "db": ""})],
        takes(CDS, "2", "no"),                       [],
        update(CDS, "c", {"web": "2@8"}),            [gave(CDS, "3", {"web": "2@8"}, version="v-c")],
        takes(CDS, "3", "no"),                       [answer(CDS, "c", "no")],
    )


def test_routes_of_a_listener_that_is_the_same_after_a_reconnect_are_spared_too() -> None:
    play(
        Session((LDS,)),
        UP, ENVOY, wants(LDS), update(LDS, "a", {"in": "1"}),
                                        [first(LDS), gave(LDS, "1", {"in": "1"}, version="v-a")],
        takes(LDS, "1"), wants(RDS, "80"),           [answer(LDS, "a"), first(RDS, "80")],
        update(RDS, "b", {"80": "r"}),               [gave(RDS, "2", {"80": "r"}, version="v-b")],
        takes(RDS, "2"),                             [answer(RDS, "b")],
        UP,              [first(LDS, versions={"in": ""}), first(RDS, "80", versions={"80": ""})],
        update(LDS, "c", {"in": "1"}),               [answer(LDS, "c")],
        update(RDS, "d", {"80": "r"}),               [answer(RDS, "d")],
        update(RDS, "e", {"80": "r"}),               [gave(RDS, "3", {"80": "r"}, version="v-e")],
    )


def test_an_envoy_that_restarts_gets_everything_although_upstream_sent_only_differences() -> None:
    served(
        update(CDS, "b", {"web": "2", "new": "1"}, "db"),
                                    [gave(CDS, "2", {"web": "2", "new": "1"}, "db", version="v-b")],
        takes(CDS, "2"),                             [answer(CDS, "b")],
        EnvoyClosed(), UpstreamClosed(), ENVOY, wants(CDS),
                                    [gave(CDS, "3", {"web": "2", "new": "1"}, version="v-b")],
        takes(CDS, "3"),                             [],
    )


def test_an_envoy_that_comes_back_is_told_what_is_no_more_and_spared_what_it_has_in_that_version() -> None:
    play(
        Session((CDS,)),
        UP, update(CDS, "a", {"web": "1@7", "db": "1@7", "un": "1"}), [first(CDS)],
        ENVOY, wants(CDS, has={"web": "7", "db": "6", "un": "", "old": "1"}),
                                    [gave(CDS, "1", {"db": "1@7", "un": "1"}, "old", version="v-a")],
    )


def test_an_envoy_that_comes_back_gets_its_endpoints_in_whatever_version_it_has_them() -> None:
    """Its clusters may be waiting for them."""
    play(
        Session(()),
        UP, ENVOY, wants(EDS, "x"), update(EDS, "a", {"x": "1@7"}),
                                    [first(EDS, "x"), gave(EDS, "1", {"x": "1@7"}, version="v-a")],
        ENVOY, wants(EDS, "x", has={"x": "7"}),      [gave(EDS, "2", {"x": "1@7"}, version="v-a")],
    )


def test_the_next_envoy_is_told_at_once_of_a_name_that_does_not_exist() -> None:
    play(
        Session(()),
        UP, ENVOY, wants(EDS, "x"),                  [first(EDS, "x")],
        update(EDS, "a", None, "x"),                 [gave(EDS, "1", None, "x", version="v-a")],
        ENVOY, wants(EDS, "x"),                      [gave(EDS, "2", None, "x", version="v-a")],
        update(EDS, "b", {"x": "1"}),                [gave(EDS, "3", {"x": "1"}, version="v-b")],
        ENVOY, wants(EDS, "x"),                      [gave(EDS, "4", {"x": "1"}, version="v-b")],
    )


def test_an_envoy_that_restarts_on_a_rejected_cluster_gets_the_last_good_one_in_its_place() -> None:
    served(
        update(CDS, "b", {"web": "bad", "new": "bad"}),
                                    [gave(CDS, "2", {"web": "bad", "new": "bad"}, version="v-b")],
        takes(CDS, "2", "no"),                       [answer(CDS, "b", "no")],
        update(CDS, "c", {"db": "3"}),               [gave(CDS, "3", {"db": "3"}, version="v-c")],
        takes(CDS, "3"),                             [answer(CDS, "c")],
        ENVOY, wants(CDS),    [gave(CDS, "4", {"web": "bad", "db": "3", "new": "bad"}, version="v-c")],
        takes(CDS, "4", "no"),                       [gave(CDS, "5", {"web": "1"}, version="v-c")],
        takes(CDS, "5", "neither"),                  [],
    )


def test_an_envoy_that_can_load_what_the_last_one_could_not_settles_it() -> None:
    served(
        update(CDS, "b", {"web": "bad"}),            [gave(CDS, "2", {"web": "bad"}, version="v-b")],
        takes(CDS, "2", "no"),                       [answer(CDS, "b", "no")],
        ENVOY, wants(CDS),                 [gave(CDS, "3", {"web": "bad", "db": "1"}, version="v-b")],
        takes(CDS, "3"),                             [],
        UP,                                          [first(CDS, versions={"web": "", "db": ""})],
        update(CDS, "c", {"web": "bad", "db": "1"}), [answer(CDS, "c")],
    )

# fmt: on
