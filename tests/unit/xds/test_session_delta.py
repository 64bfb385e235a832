"""The relay's state machine where both sides speak incrementally, as transcripts."""

from dataclasses import replace

from tests.unit.xds.transcript import (
    CDS,
    EDS,
    ENVOY,
    LDS,
    NDS,
    UP,
    answer,
    first,
    gave,
    more,
    play,
    served,
    takes,
    update,
    wants,
)
from vmagent.xds import types
from vmagent.xds.messages import DeltaAsk, Health, Quiet, Take, Verdict
from vmagent.xds.session import Session

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

# fmt: on
