"""The relay's state machine where both sides speak incrementally, as transcripts."""

from dataclasses import replace

from tests.unit.xds.transcript import (
    CDS,
    EDS,
    LDS,
    NDS,
    RDS,
    answer,
    first,
    gave,
    more,
    play,
    takes,
    update,
    wants,
)
from vmagent.xds import types
from vmagent.xds.asks import LARGEST_CLAIM
from vmagent.xds.messages import (
    Command,
    DeltaAsk,
    EnvoyClosed,
    EnvoyOpened,
    Event,
    Health,
    Quiet,
    Take,
    UpstreamClosed,
    UpstreamOpened,
    Verdict,
)
from vmagent.xds.session import Session

UP, ENVOY = UpstreamOpened(delta=True), EnvoyOpened(delta=True)


def served(*before: Event | list[Command]) -> Session:
    """Clusters ``web`` and ``db`` are with the control plane, with us, and accepted by Envoy."""
    session = Session((CDS,))
    play(
        session,
        UP, ENVOY, wants(CDS), [first(CDS)],
        update(CDS, "a", {"web": "1", "db": "1"}), [gave(CDS, "1", {"web": "1", "db": "1"}, version="v-a")],
        takes(CDS, "1"), [answer(CDS, "a")],
        *before,
    )  # fmt: skip
    return session


# fmt: off

def test_the_agent_subscribes_by_itself_and_without_names_which_is_everything() -> None:
    play(
        Session((CDS, LDS, NDS)),
        UP,                                          [first(CDS), first(LDS), first(NDS)],
        update(CDS, "a", {"web": "1"}),              [],
        ENVOY, wants(CDS),                           [gave(CDS, "1", {"web": "1"}, version="v-a")],
        takes(CDS, "1"),                             [answer(CDS, "a")],
    )


def test_an_update_passes_through_as_the_bytes_it_came_as_nonce_and_all() -> None:
    play(
        Session((CDS,)),
        UP, ENVOY, wants(CDS),                       [first(CDS)],
        update(CDS, "a", {"web": "1"}, "old", raw=b"raw"),
                            [gave(CDS, "a", {"web": "1"}, "old", version="v-a", raw=b"raw")],
        takes(CDS, "a"),                             [answer(CDS, "a")],
    )


def test_each_response_has_its_own_answer_also_when_the_next_one_is_on_its_way() -> None:
    session = served()
    play(
        session,
        update(CDS, "b", {"web": "2"}), update(CDS, "c", {"db": "3"}),
        [gave(CDS, "2", {"web": "2"}, version="v-b"), gave(CDS, "3", {"db": "3"}, version="v-c")],
        takes(CDS, "2", "no"),                       [answer(CDS, "b", "no")],
        takes(CDS, "3"),                             [answer(CDS, "c")],
        takes(CDS, "3"), takes(CDS, "x"),            [],
    )
    assert session.versions == {CDS: "v-c"}


def test_names_are_asked_for_and_given_up_in_requests_of_their_own() -> None:
    """istiod takes no names from an answer, and none from one to an older response than its last."""
    play(
        Session(()),
        UP, ENVOY, wants(EDS, "x", "y"),             [first(EDS, "x", "y")],
        update(EDS, "a", {"x": "1", "y": "1"}),
                                    [gave(EDS, "1", {"x": "1", "y": "1"}, version="v-a")],
        takes(EDS, "1"),                             [answer(EDS, "a")],
        wants(EDS, "z", without=("x",)),             [more(EDS, "z", without=("x",))],
        wants(EDS, without=("y", "z")),              [more(EDS, without=("y", "z"))],
        update(EDS, "b", None, "y", "z"),            [],
        wants(EDS, "x"),                             [more(EDS, "x")],
    )


def test_a_request_that_is_an_answer_and_a_subscription_becomes_two() -> None:
    play(
        Session(()),
        UP, ENVOY, wants(EDS, "x"),                  [first(EDS, "x")],
        update(EDS, "a", {"x": "1"}),                [gave(EDS, "1", {"x": "1"}, version="v-a")],
        replace(wants(EDS, "y"), nonce="1"),         [answer(EDS, "a"), more(EDS, "y")],
    )


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


def test_clusters_whose_acknowledgement_is_late_get_their_endpoints_once_more() -> None:
    served(
        wants(EDS, "web", "db"),                     [first(EDS, "web", "db")],
        update(EDS, "b", {"web": "e", "db": "f"}),
                                        [gave(EDS, "2", {"web": "e", "db": "f"}, version="v-b")],
        takes(EDS, "2"), Quiet(),                    [answer(EDS, "b")],
        update(CDS, "c", {"web": "2"}),              [gave(CDS, "3", {"web": "2"}, version="v-c")],
        Quiet(),                                     [gave(EDS, "4", {"web": "e"}, version="v-b")],
        Quiet(),                                     [],
        takes(EDS, "4"), takes(CDS, "3"),            [answer(CDS, "c")],
        Quiet(),                                     [],
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


def test_an_empty_set_of_clusters_is_an_answer() -> None:
    play(
        Session((CDS,)),
        UP, ENVOY, wants(CDS),                       [first(CDS)],
        update(CDS, "a"),                            [gave(CDS, "1", version="v-a")],
        takes(CDS, "1"),                             [answer(CDS, "a")],
        ENVOY, wants(CDS),                           [gave(CDS, "2", version="v-a")],
    )


def test_who_subscribes_is_answered_although_the_control_plane_was_asked_long_ago() -> None:
    play(
        Session(()),
        UP, ENVOY, wants(EDS, "x", "y"),             [first(EDS, "x", "y")],
        update(EDS, "a", {"x": "1"}, "y"),           [gave(EDS, "1", {"x": "1"}, "y", version="v-a")],
        ENVOY, wants(EDS, "x"),     [more(EDS, without=("y",)), gave(EDS, "2", {"x": "1"}, version="v-a")],
        wants(EDS, "x"),                             [gave(EDS, "3", {"x": "1"}, version="v-a")],
        wants(EDS, "y"),                             [more(EDS, "y")],
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


def test_names_beside_everything_are_asked_for_as_well() -> None:
    served(
        wants(CDS, "on demand"),                     [more(CDS, "on demand")],
        UP, [DeltaAsk(CDS, frozenset({"*", "on demand"}), versions={"web": "", "db": ""}, first=True)],
        wants(CDS, without=("on demand", "*")),      [more(CDS, without=("on demand",))],
    )


def test_who_wants_nothing_yet_says_so_and_the_control_plane_is_not_asked() -> None:
    play(
        Session(()),
        UP, ENVOY, wants(EDS, "*", without=("*",)),  [],
        wants(EDS, "x"),                             [first(EDS, "x")],
    )


def test_a_type_that_envoy_gave_up_is_not_asked_for_again() -> None:
    play(
        Session(()),
        UP, ENVOY, wants(EDS, "x"),                  [first(EDS, "x")],
        wants(EDS, without=("x",)),                  [more(EDS, without=("x",))],
        update(EDS, "a", None, "x"), UP,             [],
        wants(EDS, "x"),                             [first(EDS, "x")],
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


def test_a_verdict_on_a_response_of_a_dead_stream_is_kept_to_ourselves_and_the_resource_sent_again() -> None:
    served(
        update(CDS, "b", {"web": "2@8"}),            [gave(CDS, "2", {"web": "2@8"}, version="v-b")],
        UP,                                          [first(CDS, versions={"web": "", "db": ""})],
        takes(CDS, "2", "no"),                       [],
        update(CDS, "c", {"web": "2@8"}),            [gave(CDS, "3", {"web": "2@8"}, version="v-c")],
        takes(CDS, "3", "no"),                       [answer(CDS, "c", "no")],
    )


def test_types_that_only_envoy_knows_pass_as_any_other() -> None:
    """Wasm by ECDS, workloads for metadata discovery, routes by scope."""
    for url in ("envoy.config.core.v3.TypedExtensionConfig", "istio.workload.Workload"):
        play(
            Session(()),
            UP, ENVOY, wants(url),                   [first(url)],
            update(url, "a", {"x": "1"}, raw=b"r"),  [gave(url, "a", {"x": "1"}, version="v-a", raw=b"r")],
            takes(url, "a"),                         [answer(url, "a")],
            ENVOY, wants(url),                       [gave(url, "1", {"x": "1"}, version="v-a")],
        )


def test_a_type_that_nobody_asked_for_is_passed_over() -> None:
    play(
        Session((CDS,)),
        UP, ENVOY,                                   [first(CDS)],
        update("something", "a", {"s": "1"}), update(types.HEALTH, "a"), [],
    )


def test_the_name_table_is_the_agents_own_and_told_after_a_reconnect() -> None:
    table = update(NDS, "n", {"": "table"})
    play(
        Session((NDS,)),
        UP, table,                                   [first(NDS), Take(table)],
        Verdict(NDS, "n"),                           [answer(NDS, "n")],
        ENVOY, wants(NDS),                           [],
        UP,                                          [first(NDS, versions={"": ""})],
    )


def test_health_is_reported_on_change_and_behind_the_first_subscription_of_each_stream() -> None:
    play(
        Session((CDS,)),
        Health("connection refused"),                [],
        UP,                [first(CDS), DeltaAsk(types.HEALTH, error="connection refused")],
        Health(),                                    [DeltaAsk(types.HEALTH)],
    )


def test_an_envoy_that_reads_and_never_answers_costs_a_bounded_memory() -> None:
    session = served()
    for number in range(1000):
        session.on(update(CDS, f"n{number}", {"web": str(number)}))
    assert session.on(takes(CDS, "2", "no")) == []
    assert session.on(takes(CDS, "1001")) == [answer(CDS, "n999")]


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

# fmt: on
