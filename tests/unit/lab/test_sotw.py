"""One ADS stream, state of the world, as a transcript: what the client says, what it is told."""

import itertools
from dataclasses import replace

import pytest
from google.protobuf import any_pb2

from lab.controlplane.session import (
    Accepted,
    Command,
    Event,
    Outdated,
    Refreshed,
    Rejected,
    ReportHealth,
    Request,
    Respond,
)
from lab.controlplane.snapshot import Snapshot
from lab.controlplane.sotw import SotwSession
from lab.controlplane.subscription import MAX_OFFERS
from lab.controlplane.type_urls import CLUSTER, ENDPOINT, HEALTH, LISTENER, NAME_TABLE, ROUTE

EMPTY_A = any_pb2.Any(type_url=ENDPOINT, value=b"\n\x01a")
EMPTY_B = any_pb2.Any(type_url=ENDPOINT, value=b"\n\x01b")
"""A ClusterLoadAssignment that has only its name."""


def resource(content: str | any_pb2.Any) -> any_pb2.Any:
    return any_pb2.Any(value=content.encode()) if isinstance(content, str) else content


def world(version: str, **changes: dict[str, str]) -> Snapshot:
    """Two of everything; ``changes`` replaces what a type (by the name of its constant) holds."""
    types = {"CLUSTER": CLUSTER, "ENDPOINT": ENDPOINT, "LISTENER": LISTENER, "ROUTE": ROUTE}
    content = {name: {"a": f"{name} a", "c": f"{name} c"} for name in types} | changes
    resources = {
        url: {name: resource(text) for name, text in content[key].items()} for key, url in types.items()
    }
    resources[NAME_TABLE] = {"": resource("names")}
    return replace(Snapshot.of_resources(resources), versions=dict.fromkeys(resources, version))


def session() -> SotwSession:
    return SotwSession((str(number) for number in itertools.count(1)), world("1"))


def told(type_url: str, nonce: str, *content: str | any_pb2.Any, version: str = "1") -> Respond:
    resources = tuple(resource(each) for each in content)
    return Respond(type_url=type_url, version=version, nonce=nonce, resources=resources)


def ask(type_url: str, *names: str, nonce: str = "", error: str | None = None) -> Request:
    return Request(type_url=type_url, names=names, nonce=nonce, error=error)


def play(one: SotwSession, *script: Event | list[Command]) -> None:
    """Events go in; each list is what must have come out by then."""
    seen: list[Command] = []
    for line in script:
        if isinstance(line, list):
            assert seen == line, f"\nexpected {line}\n     got {seen}"
            seen = []
        else:
            seen += one.on(line)
    assert seen == [], f"nobody asked about {seen}"


def test_a_wildcard_type_is_answered_with_everything() -> None:
    play(session(), ask(CLUSTER), [told(CLUSTER, "1", "CLUSTER a", "CLUSTER c")])
    play(session(), ask(CLUSTER, "*"), [told(CLUSTER, "1", "CLUSTER a", "CLUSTER c")])
    play(session(), ask(CLUSTER, "c"), [told(CLUSTER, "1", "CLUSTER c")])
    play(session(), ask(NAME_TABLE), [told(NAME_TABLE, "1", "names")])


def test_endpoints_are_given_for_every_name_and_routes_for_those_that_exist() -> None:
    play(
        session(),
        ask(ENDPOINT, "a", "b"), [told(ENDPOINT, "1", "ENDPOINT a", EMPTY_B)],
        ask(ROUTE, "a", "b"),    [told(ROUTE, "2", "ROUTE a")],
    )  # fmt: skip


def test_a_type_by_name_without_names_is_nothing_to_answer() -> None:
    play(session(), ask(ENDPOINT), [], ask(ROUTE), [])


def test_a_type_nobody_serves_is_met_with_silence_whatever_happens() -> None:
    play(session(), ask("secret", "x"), [], Refreshed(snapshot=world("2")), [])


def test_an_acknowledgement_is_not_answered() -> None:
    play(
        session(),
        ask(CLUSTER),            [told(CLUSTER, "1", "CLUSTER a", "CLUSTER c")],
        ask(CLUSTER, nonce="1"), [Accepted(type_url=CLUSTER, version="1")],
        ask(CLUSTER, nonce="1"), [],
    )  # fmt: skip


def test_a_refusal_is_reported_and_not_answered_and_the_next_good_one_ends_it() -> None:
    one = session()
    play(
        one,
        ask(CLUSTER),                             [told(CLUSTER, "1", "CLUSTER a", "CLUSTER c")],
        ask(CLUSTER, nonce="1", error="too big"), [Rejected(type_url=CLUSTER, version="1", reason="too big")],
    )  # fmt: skip
    assert (one.watches[CLUSTER].rejected, one.watches[CLUSTER].reason) == ("1", "too big")
    play(
        one,
        Refreshed(snapshot=world("2", CLUSTER={"a": "small"})), [told(CLUSTER, "2", "small", version="2")],
        ask(CLUSTER, nonce="2"),                                [Accepted(type_url=CLUSTER, version="2")],
    )  # fmt: skip
    assert (one.watches[CLUSTER].accepted, one.watches[CLUSTER].rejected) == ("2", "")


def test_an_empty_reason_is_still_a_refusal() -> None:
    play(
        session(),
        ask(ROUTE, "a"), [told(ROUTE, "1", "ROUTE a")],
        ask(ROUTE, "a", nonce="1", error=""), [Rejected(type_url=ROUTE, version="1", reason="")],
    )  # fmt: skip


def test_more_names_are_answered_and_fewer_are_not() -> None:
    play(
        session(),
        ask(ENDPOINT, "a"),                 [told(ENDPOINT, "1", "ENDPOINT a")],
        ask(ENDPOINT, "a", "c", nonce="1"),
        [Accepted(type_url=ENDPOINT, version="1"), told(ENDPOINT, "2", "ENDPOINT a", "ENDPOINT c")],
        ask(ENDPOINT, "c", nonce="2"),      [Accepted(type_url=ENDPOINT, version="1")],
        Refreshed(snapshot=world("2", ENDPOINT={"a": "new", "c": "ENDPOINT c"})), [],
    )  # fmt: skip


def test_who_wants_nothing_more_is_heard_although_a_response_was_on_its_way_and_may_come_back() -> None:
    moved, again = (
        world(version, ENDPOINT={"a": text}) for version, text in (("2", "moved"), ("3", "again"))
    )
    play(
        session(),
        ask(ENDPOINT, "a"),            [told(ENDPOINT, "1", "ENDPOINT a")],
        Refreshed(snapshot=moved),     [told(ENDPOINT, "2", "moved", version="2")],
        ask(ENDPOINT, nonce="1"),     [Outdated(type_url=ENDPOINT), Accepted(type_url=ENDPOINT, version="1")],
        Refreshed(snapshot=again),     [],
        ask(ENDPOINT, "a", nonce="1"), [told(ENDPOINT, "3", "again", version="3")],
    )  # fmt: skip


def test_a_refusal_that_asks_for_more_gets_more() -> None:
    play(
        session(),
        ask(ROUTE, "a"), [told(ROUTE, "1", "ROUTE a")],
        ask(ROUTE, "a", "c", nonce="1", error="no"),
        [Rejected(type_url=ROUTE, version="1", reason="no"), told(ROUTE, "2", "ROUTE a", "ROUTE c")],
    )  # fmt: skip


def test_a_subscription_to_some_may_become_one_to_all() -> None:
    play(
        session(),
        ask(LISTENER, "a"), [told(LISTENER, "1", "LISTENER a")],
        ask(LISTENER, nonce="1"),
        [Accepted(type_url=LISTENER, version="1"), told(LISTENER, "2", "LISTENER a", "LISTENER c")],
    )  # fmt: skip


def test_an_answer_to_an_older_response_counts_but_asks_for_nothing() -> None:
    play(
        session(),
        ask(ROUTE, "a"), [told(ROUTE, "1", "ROUTE a")],
        Refreshed(snapshot=world("2", ROUTE={"a": "new"})), [told(ROUTE, "2", "new", version="2")],
        ask(ROUTE, "a", "c", nonce="1"), [Outdated(type_url=ROUTE), Accepted(type_url=ROUTE, version="1")],
        ask(ROUTE, "a", nonce="2"),      [Accepted(type_url=ROUTE, version="2")],
        ask(ROUTE, "a", "c", nonce="invented"), [Outdated(type_url=ROUTE)],
    )  # fmt: skip


def test_a_nonce_of_another_stream_does_not_keep_a_client_from_its_first_answer() -> None:
    play(session(), ask(ROUTE, "a", nonce="of the last stream"), [told(ROUTE, "1", "ROUTE a")])


def test_a_client_that_starts_over_gets_everything_again() -> None:
    play(
        session(),
        ask(ROUTE, "a"), [told(ROUTE, "1", "ROUTE a")],
        ask(ROUTE, "a"), [told(ROUTE, "2", "ROUTE a")],
    )  # fmt: skip


def test_a_push_goes_clusters_endpoints_listeners_routes_names_whatever_was_asked_first() -> None:
    one = session()
    for request in (ask(NAME_TABLE), ask(ROUTE, "a"), ask(LISTENER), ask(ENDPOINT, "a"), ask(CLUSTER)):
        one.on(request)
    changed = world("2", CLUSTER={"a": "new"}, LISTENER={"a": "new"})
    pushed = [each.type_url for each in one.on(Refreshed(snapshot=changed)) if isinstance(each, Respond)]
    assert pushed == [CLUSTER, ENDPOINT, LISTENER, ROUTE]


def test_changed_endpoints_go_alone_and_unchanged_ones_not_at_all() -> None:
    one = session()
    one.on(ask(CLUSTER))
    one.on(ask(ENDPOINT, "a"))
    play(
        one,
        Refreshed(snapshot=world("2", ENDPOINT={"a": "new"})), [told(ENDPOINT, "3", "new", version="2")],
        Refreshed(snapshot=world("3", ENDPOINT={"a": "new", "c": "not asked for"})), [],
        Refreshed(snapshot=world("4", ENDPOINT={})),
        [told(ENDPOINT, "4", EMPTY_A, version="4")],
    )  # fmt: skip


@pytest.mark.parametrize(("leader", "follower"), [(CLUSTER, ENDPOINT), (LISTENER, ROUTE)])
def test_who_gets_clusters_or_listeners_anew_gets_what_they_wait_for(leader: str, follower: str) -> None:
    one = session()
    one.on(ask(follower, "a"))
    answered = [each.type_url for each in one.on(ask(leader)) if isinstance(each, Respond)]
    assert answered == [leader, follower]


def test_health_is_passed_on_and_never_answered() -> None:
    play(
        session(),
        ask(HEALTH),                       [ReportHealth(healthy=True)],
        ask(HEALTH, error="port 80 shut"), [ReportHealth(healthy=False, message="port 80 shut")],
        ask(HEALTH, error=""),             [ReportHealth(healthy=False)],
    )  # fmt: skip


def test_a_client_that_never_answers_does_not_fill_our_memory() -> None:
    one = session()
    one.on(ask(ROUTE, "a"))
    for number in range(2 * MAX_OFFERS):
        one.on(Refreshed(snapshot=world(str(number), ROUTE={"a": f"route {number}"})))
    assert len(one.watches[ROUTE].offers) == MAX_OFFERS
    play(one, ask(ROUTE, "a", nonce="1"), [Outdated(type_url=ROUTE)])
