"""One delta ADS stream as a transcript: what the client says, what it is told."""

import itertools
import time

import pytest

from lab.controlplane.delta import DeltaSession
from lab.controlplane.session import (
    Accepted,
    Command,
    DeltaRequest,
    Event,
    Outdated,
    Refreshed,
    Rejected,
    ReportHealth,
    RespondDelta,
)
from lab.controlplane.snapshot import Snapshot, digest
from lab.controlplane.subscription import MAX_OFFERS
from lab.controlplane.type_urls import CLUSTER, ENDPOINT, HEALTH, LISTENER, NAME_TABLE, ROUTE
from tests.unit.lab.test_sotw import EMPTY_B, resource, world


def session(snapshot: Snapshot | None = None) -> DeltaSession:
    return DeltaSession((str(number) for number in itertools.count(1)), snapshot or world("1"))


def version(text: str) -> str:
    return digest(resource(text))


def told(type_url: str, nonce: str, *removed: str, of: str = "1", **content: str) -> RespondDelta:
    """``content`` is name to text."""
    return RespondDelta(
        type_url=type_url,
        version=of,
        nonce=nonce,
        resources={name: resource(text) for name, text in content.items()},
        versions={name: version(text) for name, text in content.items()},
        removed=removed,
    )


def ask(
    type_url: str,
    *subscribe: str,
    drop: tuple[str, ...] = (),
    known: dict[str, str] | None = None,
    nonce: str = "",
    error: str | None = None,
) -> DeltaRequest:
    return DeltaRequest(
        type_url=type_url,
        subscribe=subscribe,
        unsubscribe=drop,
        known=known or {},
        nonce=nonce,
        error=error,
    )


def play(one: DeltaSession, *script: Event | list[Command]) -> None:
    """Events go in; each list is what must have come out by then."""
    seen: list[Command] = []
    for line in script:
        if isinstance(line, list):
            assert seen == line, f"\nexpected {line}\n     got {seen}"
            seen = []
        else:
            seen += one.on(line)
    assert seen == [], f"nobody asked about {seen}"


ALL_CLUSTERS = {"a": "CLUSTER a", "c": "CLUSTER c"}


def test_a_wildcard_type_is_answered_with_everything() -> None:
    play(session(), ask(CLUSTER), [told(CLUSTER, "1", **ALL_CLUSTERS)])
    play(session(), ask(CLUSTER, "*"), [told(CLUSTER, "1", **ALL_CLUSTERS)])
    play(session(), ask(CLUSTER, "c"), [told(CLUSTER, "1", c="CLUSTER c")])
    play(session(), ask(NAME_TABLE), [told(NAME_TABLE, "1", **{"": "names"})])


def test_an_unknown_cluster_has_no_endpoints_and_an_unknown_route_is_none() -> None:
    nobody = RespondDelta(
        type_url=ENDPOINT, version="1", nonce="1", resources={"b": EMPTY_B}, versions={"b": ""}
    )
    play(
        session(),
        ask(ENDPOINT, "b"),   [nobody],
        ask(ROUTE, "a", "b"), [told(ROUTE, "2", "b", a="ROUTE a")],
    )  # fmt: skip


def test_the_first_request_is_answered_even_when_there_is_nothing_to_say() -> None:
    play(session(world("1", CLUSTER={})), ask(CLUSTER), [told(CLUSTER, "1")])
    play(session(), ask(ENDPOINT), [told(ENDPOINT, "1")])


def test_a_type_nobody_serves_is_met_with_silence_whatever_happens() -> None:
    play(session(), ask("secret", "x"), [], Refreshed(snapshot=world("2")), [], ask("secret", "y"), [])


def test_an_acknowledgement_is_not_answered() -> None:
    play(
        session(),
        ask(CLUSTER),            [told(CLUSTER, "1", **ALL_CLUSTERS)],
        ask(CLUSTER, nonce="1"), [Accepted(type_url=CLUSTER, version="1")],
        ask(CLUSTER, nonce="1"), [],
    )  # fmt: skip


def test_a_refusal_is_reported_and_what_was_refused_is_not_sent_again_until_it_changes() -> None:
    one = session()
    play(
        one,
        ask(CLUSTER),                             [told(CLUSTER, "1", **ALL_CLUSTERS)],
        ask(CLUSTER, nonce="1", error="too big"), [Rejected(type_url=CLUSTER, version="1", reason="too big")],
        Refreshed(snapshot=world("2")),           [],
    )  # fmt: skip
    assert (one.watches[CLUSTER].rejected, one.watches[CLUSTER].reason) == ("1", "too big")
    play(
        one,
        Refreshed(snapshot=world("3", CLUSTER={"a": "small", "c": "CLUSTER c"})),
        [told(CLUSTER, "2", of="3", a="small")],
        ask(CLUSTER, nonce="2"),
        [Accepted(type_url=CLUSTER, version="3")],
    )
    assert (one.watches[CLUSTER].accepted, one.watches[CLUSTER].rejected) == ("3", "")


def test_only_what_changed_is_sent_and_what_is_gone_is_named() -> None:
    play(
        session(),
        ask(CLUSTER), [told(CLUSTER, "1", **ALL_CLUSTERS)],
        Refreshed(snapshot=world("2", CLUSTER={"a": "new", "b": "CLUSTER b"})),
        [told(CLUSTER, "2", "c", of="2", a="new", b="CLUSTER b")],
        Refreshed(snapshot=world("3", CLUSTER={"b": "CLUSTER b", "a": "new"})), [],
    )  # fmt: skip


def test_endpoints_of_a_cluster_that_is_gone_are_removed_and_come_back_with_it() -> None:
    play(
        session(),
        ask(ENDPOINT, "a"),                          [told(ENDPOINT, "1", a="ENDPOINT a")],
        Refreshed(snapshot=world("2", ENDPOINT={})), [told(ENDPOINT, "2", "a", of="2")],
        Refreshed(snapshot=world("3", ENDPOINT={})), [],
        Refreshed(snapshot=world("4")),              [told(ENDPOINT, "3", of="4", a="ENDPOINT a")],
    )  # fmt: skip


def test_more_names_are_answered_alone_and_fewer_are_not() -> None:
    play(
        session(),
        ask(ENDPOINT, "a"),       [told(ENDPOINT, "1", a="ENDPOINT a")],
        ask(ENDPOINT, "c"),       [told(ENDPOINT, "2", c="ENDPOINT c")],
        ask(ENDPOINT, drop=("a",)), [],
        Refreshed(snapshot=world("2", ENDPOINT={"a": "new", "c": "ENDPOINT c"})), [],
        ask(ENDPOINT, drop=("never asked for",)), [],
    )  # fmt: skip


def test_a_name_that_is_asked_for_again_is_answered_again() -> None:
    play(
        session(),
        ask(ROUTE, "a"), [told(ROUTE, "1", a="ROUTE a")],
        ask(ROUTE, "a"), [told(ROUTE, "2", a="ROUTE a")],
        ask(ROUTE, drop=("a",)), [],
        ask(ROUTE, "a"), [told(ROUTE, "3", a="ROUTE a")],
    )  # fmt: skip


def test_names_count_in_an_acknowledgement_in_a_refusal_and_with_an_outdated_nonce() -> None:
    play(
        session(),
        ask(ROUTE, "a"), [told(ROUTE, "1", a="ROUTE a")],
        Refreshed(snapshot=world("2", ROUTE={"a": "new", "b": "b", "c": "c"})),
        [told(ROUTE, "2", of="2", a="new")],
        ask(ROUTE, "c", nonce="1"),
        [Outdated(type_url=ROUTE), Accepted(type_url=ROUTE, version="1"), told(ROUTE, "3", of="2", c="c")],
        ask(ROUTE, "b", nonce="3", error="no"),
        [Rejected(type_url=ROUTE, version="2", reason="no"), told(ROUTE, "4", of="2", b="b")],
    )  # fmt: skip


def test_the_wildcard_can_be_left_and_taken_up_again() -> None:
    play(
        session(),
        ask(CLUSTER), [told(CLUSTER, "1", **ALL_CLUSTERS)],
        ask(CLUSTER, "a"), [told(CLUSTER, "2", a="CLUSTER a")],
        ask(CLUSTER, drop=("*",)), [],
        Refreshed(snapshot=world("2", CLUSTER={"a": "CLUSTER a", "c": "new"})), [],
        ask(CLUSTER, "*"), [told(CLUSTER, "3", of="2", c="new")],
        ask(CLUSTER, drop=("a",)), [told(CLUSTER, "4", of="2", a="CLUSTER a")],
    )  # fmt: skip


def test_nothing_can_be_subscribed_to() -> None:
    play(
        session(),
        ask(CLUSTER, "*", drop=("*",)), [told(CLUSTER, "1")],
        Refreshed(snapshot=world("2", CLUSTER={"a": "new"})), [],
    )  # fmt: skip


def test_a_client_that_reconnects_gets_what_it_has_not_got() -> None:
    known = {"a": version("CLUSTER a"), "c": "of another control plane", "gone": "1"}
    play(session(), ask(CLUSTER, known=known), [told(CLUSTER, "1", "gone", c="CLUSTER c")])
    known = {"a": version("ENDPOINT a"), "c": "older", "b": "1"}
    play(session(), ask(ENDPOINT, "a", "b", "c", known=known), [told(ENDPOINT, "1", "b", c="ENDPOINT c")])
    play(session(), ask(NAME_TABLE, known={"": version("names")}), [told(NAME_TABLE, "1")])


def test_a_client_that_holds_resources_without_versions_gets_everything_again() -> None:
    known = {"a": "", "c": "", "gone": ""}
    play(session(), ask(CLUSTER, known=known), [told(CLUSTER, "1", "gone", **ALL_CLUSTERS)])
    play(session(), ask(ROUTE, known={"a": "", "gone": ""}), [told(ROUTE, "1", "gone", a="ROUTE a")])


def test_what_a_client_holds_by_name_it_has_asked_for() -> None:
    play(
        session(),
        ask(ENDPOINT, known={"a": version("ENDPOINT a")}), [told(ENDPOINT, "1")],
        Refreshed(snapshot=world("2", ENDPOINT={"a": "new"})), [told(ENDPOINT, "2", of="2", a="new")],
    )  # fmt: skip


def test_a_changed_cluster_gets_its_endpoints_anew_and_no_other_does() -> None:
    play(
        session(),
        ask(ENDPOINT, "a", "c"), [told(ENDPOINT, "1", a="ENDPOINT a", c="ENDPOINT c")],
        ask(CLUSTER, known={"a": version("CLUSTER a")}),
        [told(CLUSTER, "2", c="CLUSTER c"), told(ENDPOINT, "3", c="ENDPOINT c")],
        Refreshed(snapshot=world("2", CLUSTER={"a": "new", "c": "CLUSTER c"})),
        [told(CLUSTER, "4", of="2", a="new"), told(ENDPOINT, "5", of="2", a="ENDPOINT a")],
    )  # fmt: skip


def test_a_push_goes_clusters_endpoints_listeners_routes_names_whatever_was_asked_first() -> None:
    one = session()
    for request in (ask(NAME_TABLE), ask(ROUTE, "a"), ask(LISTENER), ask(ENDPOINT, "a"), ask(CLUSTER)):
        one.on(request)
    new = {"a": "new"}
    changed = world("2", CLUSTER=new, ENDPOINT=new, LISTENER=new, ROUTE=new)
    pushed = [each.type_url for each in one.on(Refreshed(snapshot=changed)) if isinstance(each, RespondDelta)]
    assert pushed == [CLUSTER, ENDPOINT, LISTENER, ROUTE]


def test_health_is_passed_on_and_never_answered() -> None:
    play(
        session(),
        ask(HEALTH),                       [ReportHealth(healthy=True)],
        ask(HEALTH, error="port 80 shut"), [ReportHealth(healthy=False, message="port 80 shut")],
    )  # fmt: skip


def test_a_client_that_never_answers_does_not_fill_our_memory() -> None:
    one = session()
    one.on(ask(ROUTE, "a"))
    for number in range(2 * MAX_OFFERS):
        one.on(Refreshed(snapshot=world(str(number), ROUTE={"a": f"route {number}"})))
    assert len(one.watches[ROUTE].offers) == MAX_OFFERS


@pytest.mark.parametrize("type_url", [CLUSTER, ENDPOINT, LISTENER, ROUTE])
def test_content_that_comes_back_is_a_change_like_any_other(type_url: str) -> None:
    one = session()
    one.on(ask(type_url, "a"))
    key = {CLUSTER: "CLUSTER", ENDPOINT: "ENDPOINT", LISTENER: "LISTENER", ROUTE: "ROUTE"}[type_url]
    one.on(Refreshed(snapshot=world("2", **{key: {"a": "new"}})))
    back = one.on(Refreshed(snapshot=world("3")))
    assert back == [told(type_url, "3", of="3", a=f"{key} a")]


def test_one_name_more_among_many_costs_what_one_name_costs() -> None:
    """Against 20 000 other names. To look for each among all of them would take a minute."""
    many = {str(number): "x" for number in range(20_000)}
    one = session(world("1", ENDPOINT=many))
    one.on(ask(ENDPOINT, *many))
    began = time.process_time()
    for name in ("a", "b", "c"):
        one.on(ask(ENDPOINT, name))
        one.on(ask(ENDPOINT, drop=(name,)))
    assert time.process_time() - began < 3.0
