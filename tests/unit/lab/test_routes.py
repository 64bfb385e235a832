"""Which requests go where, as istiod decides it."""

from typing import Any

import pytest

from lab.controlplane import type_urls
from tests.unit.lab import story
from tests.unit.lab.recorded import Json
from tests.unit.lab.served import (
    client,
    entry,
    hosts,
    resource,
    routes,
    rule,
    said,
    service,
    to,
    virtual_service,
)


def governed(http: list[dict[str, Any]], *others: str, who: Any = story.CLIENT) -> list[Json]:
    way = virtual_service("a.test", http=http)
    return routes(story.told(who, entry("a.test", "80/HTTP"), way, *others), "80", "a.test:80")


def matched(match: dict[str, Any]) -> Json:
    first, *_ = governed([{"match": [match], "route": [to("a.test")]}])
    return first["match"]


def goes(route: Json) -> list[str]:
    action = route["route"]
    if "cluster" in action:
        return [action["cluster"]]
    return [f"{each['name']} {each['weight']}" for each in action["weighted_clusters"]["clusters"]]


def test_a_virtual_host_has_every_name_a_client_may_use() -> None:
    snapshot = story.told(
        story.CLIENT,
        service("near", {"name": "http", "port": 80}, clusterIP="10.96.0.1"),
        service("far", {"name": "http", "port": 80}, clusterIP="10.96.0.2", namespace="elsewhere"),
        entry("a.test", "80/HTTP", addresses=["10.1.1.1"]),
    )
    near, far = "near.istio-demo.svc.cluster.local", "far.elsewhere.svc.cluster.local"
    assert {name: set(domains) for name, domains in hosts(snapshot, "80").items()} == {
        f"{near}:80": {near, f"{near}.", "near", "near.istio-demo", "near.istio-demo.svc", "10.96.0.1"},
        f"{far}:80": {far, f"{far}.", "far.elsewhere", "far.elsewhere.svc", "10.96.0.2"},
        "a.test:80": {"a.test", "a.test.", "10.1.1.1"},
    }


def test_a_headless_service_answers_to_the_names_of_its_pods() -> None:
    snapshot = story.told(story.CLIENT, service("web", {"name": "http", "port": 80}, clusterIP="None"))
    (domains,) = hosts(snapshot, "80").values()
    assert {"*.web", "*.web.istio-demo.svc.cluster.local"} <= set(domains)


def test_of_an_entry_with_two_addresses_the_last_one_is_a_name_for_requests() -> None:
    """Surprising, and istiod's: it makes a service of each address, and of one host the last one counts."""
    snapshot = story.told(story.CLIENT, entry("a.test", "80/HTTP", addresses=["10.1.1.1", "10.1.1.2"]))
    assert hosts(snapshot, "80") == {"a.test:80": ["a.test", "a.test.", "10.1.1.2"]}


def test_services_of_one_port_have_a_virtual_host_each_and_of_another_port_another_table() -> None:
    snapshot = story.told(
        story.CLIENT,
        entry("a.test", "80/HTTP", "8080/HTTP"),
        entry("b.test", "80/GRPC"),
        entry("c.test", "90/TCP"),
    )
    assert list(snapshot.of(type_urls.ROUTE)) == ["80", "8080"]
    assert list(hosts(snapshot, "80")) == ["a.test:80", "b.test:80"]
    assert list(hosts(snapshot, "8080")) == ["a.test:8080"]


def test_requests_are_shared_out_three_ways_and_a_weight_of_nothing_is_left_out() -> None:
    (route,) = governed(
        [{"route": [to("a.test", 50), to("b.test", 30), to("c.test", 20), to("d.test")]}],
        *(entry(f"{name}.test", "80/HTTP") for name in "bcd"),
    )
    assert goes(route) == ["outbound|80||a.test 50", "outbound|80||b.test 30", "outbound|80||c.test 20"]


def test_a_destination_is_reached_at_the_port_written_else_its_only_one_else_the_requests() -> None:
    others = (entry("b.test", "80/HTTP", "81/HTTP"), entry("c.test", "8080/HTTP"))
    destinations = (to("b.test", port={"number": 81}), to("b.test"), to("c.test"))
    made = [governed([{"route": [each]}], *others)[0]["route"]["cluster"] for each in destinations]
    # c.test has no port 80, and istiod looks only among the services that have the port of the table.
    assert made == ["outbound|81||b.test", "outbound|80||b.test", "outbound|80||c.test"]


@pytest.mark.parametrize(
    ("match", "made"),
    [
        ({"uri": {"exact": "/x"}}, {"path": "/x"}),
        ({"uri": {"prefix": "/x"}}, {"prefix": "/x"}),
        ({"uri": {"regex": "/x.*"}}, {"safe_regex": {"regex": "/x.*"}}),
        ({"uri": {"prefix": "/x"}, "ignoreUriCase": True}, {"prefix": "/x", "case_sensitive": False}),
    ],
    ids=str,
)
def test_a_path_is_matched_as_written(match: dict[str, Any], made: Json) -> None:
    found = matched(match)
    assert {"case_sensitive": True, **made} == found


@pytest.mark.parametrize(
    ("header", "made"),
    [
        ({"x-who": {"exact": "me"}}, {"name": "x-who", "string_match": {"exact": "me"}}),
        ({"x-who": {"prefix": "m"}}, {"name": "x-who", "string_match": {"prefix": "m"}}),
        ({"x-who": {"regex": "m.*"}}, {"name": "x-who", "string_match": {"safe_regex": {"regex": "m.*"}}}),
        ({"x-who": {}}, {"name": "x-who", "present_match": True}),
    ],
    ids=str,
)
def test_a_header_is_matched_as_written_and_its_absence_likewise(header: Json, made: Json) -> None:
    assert matched({"headers": header})["headers"] == [made]
    (without,) = matched({"withoutHeaders": header})["headers"]
    assert {
        key: value
        for key, value in without.items()
        if key not in ("invert_match", "treat_missing_header_as_empty")
    } == made
    assert without["invert_match"]


def test_method_authority_scheme_and_query_are_matched() -> None:
    found = matched(
        {
            "method": {"exact": "GET"},
            "authority": {"prefix": "a."},
            "scheme": {"exact": "http"},
            "queryParams": {"q": {"exact": "1"}},
        }
    )
    assert {each["name"] for each in found["headers"]} == {":method", ":authority", ":scheme"}
    assert found["query_parameters"] == [{"name": "q", "string_match": {"exact": "1"}}]


def test_matches_of_one_route_are_alternatives_and_nothing_comes_after_one_that_takes_all() -> None:
    made = governed(
        [
            {"match": [{"uri": {"prefix": "/x"}}, {"uri": {"prefix": "/y"}}], "route": [to("b.test")]},
            {"route": [to("a.test")]},
            {"match": [{"uri": {"prefix": "/never"}}], "route": [to("c.test")]},
        ]
    )
    assert [(each["match"]["prefix"], *goes(each)) for each in made] == [
        ("/x", "outbound|80||b.test"),
        ("/y", "outbound|80||b.test"),
        ("/", "outbound|80||a.test"),
    ]


def test_a_match_for_other_clients_ports_or_gateways_is_left_out() -> None:
    others: tuple[dict[str, Any], ...] = (
        {"sourceLabels": {"app": "other"}},
        {"sourceNamespace": "elsewhere"},
        {"port": 81},
        {"gateways": ["front"]},
    )
    for match in others:
        assert [
            goes(each)
            for each in governed([{"match": [match], "route": [to("b.test")]}, {"route": [to("a.test")]}])
        ] == [["outbound|80||a.test"]]
    mine = client(LABELS={"app": "shop"})
    made = governed([{"match": [{"sourceLabels": {"app": "shop"}}], "route": [to("b.test")]}], who=mine)
    assert goes(made[0]) == ["outbound|80||b.test"]


def test_timeouts_retries_rewrites_and_headers_are_handed_on() -> None:
    (made,) = governed(
        [
            {
                "timeout": "3s",
                "retries": {"attempts": 4, "perTryTimeout": "1s", "retryOn": "5xx,503"},
                "rewrite": {"uri": "/new", "authority": "b.test"},
                "headers": {
                    "request": {"set": {"x-a": "1"}, "remove": ["x-b"]},
                    "response": {"add": {"x-c": "2"}},
                },
                "mirror": {"host": "m.test"},
                "mirrorPercentage": {"value": 12.5},
                "route": [to("a.test")],
            }
        ],
        entry("m.test", "80/HTTP"),
    )
    action = made["route"]
    assert action["timeout"] == "3s"
    retry = action["retry_policy"]
    assert (retry["num_retries"], retry["per_try_timeout"], retry["retry_on"]) == (
        4,
        "1s",
        "5xx,retriable-status-codes",
    )
    assert retry["retriable_status_codes"] == [503]
    assert (action["prefix_rewrite"], action["host_rewrite_literal"]) == ("/new", "b.test")
    (mirror,) = action["request_mirror_policies"]
    assert mirror["cluster"] == "outbound|80||m.test"
    assert mirror["runtime_fraction"]["default_value"] == {"numerator": 125000, "denominator": "MILLION"}
    assert made["request_headers_to_add"][0]["header"] == {"key": "x-a", "value": "1"}
    assert made["request_headers_to_remove"] == ["x-b"]
    assert made["response_headers_to_add"][0]["header"] == {"key": "x-c", "value": "2"}


def test_retries_of_none_are_no_retries_and_without_a_word_there_are_two() -> None:
    (none,) = governed([{"retries": {"attempts": 0}, "route": [to("a.test")]}])
    assert "retry_policy" not in none["route"]
    (usual,) = governed([{"route": [to("a.test")]}])
    assert usual["route"]["retry_policy"]["num_retries"] == 2
    assert usual["route"]["timeout"] == "0s"


@pytest.mark.parametrize(
    ("abort", "made"),
    [({"httpStatus": 503}, {"http_status": 503}), ({"grpcStatus": "UNAVAILABLE"}, {"grpc_status": 14})],
    ids=["http", "grpc"],
)
def test_faults_are_injected_into_the_share_of_requests_that_is_written(abort: Json, made: Json) -> None:
    fault = {
        "delay": {"fixedDelay": "2s", "percentage": {"value": 5}},
        "abort": {**abort, "percentage": {"value": 0.5}},
    }
    (route,) = governed([{"fault": fault, "route": [to("a.test")]}])
    found = route["typed_per_filter_config"]["envoy.filters.http.fault"]
    assert found["delay"]["fixed_delay"] == "2s"
    assert found["delay"]["percentage"] == {"numerator": 50000, "denominator": "MILLION"}
    assert found["abort"] == {**made, "percentage": {"numerator": 5000, "denominator": "MILLION"}}


def test_redirects_and_direct_answers_have_no_cluster() -> None:
    (redirect,) = governed([{"redirect": {"uri": "/there", "authority": "b.test", "redirectCode": 302}}])
    assert redirect["redirect"] == {
        "path_redirect": "/there",
        "host_redirect": "b.test",
        "response_code": "FOUND",
    }
    (answer,) = governed([{"directResponse": {"status": 503, "body": {"string": "later"}}}])
    assert answer["direct_response"] == {"status": 503, "body": {"inline_string": "later"}}


def test_of_two_virtual_services_for_one_host_the_older_counts() -> None:
    older = resource(
        "VirtualService",
        "z",
        {"hosts": ["a.test"], "http": [{"route": [to("old.test")]}]},
        creationTimestamp="2021-01-01T00:00:00Z",
    )
    newer = resource(
        "VirtualService",
        "a",
        {"hosts": ["a.test"], "http": [{"route": [to("new.test")]}]},
        creationTimestamp="2021-02-01T00:00:00Z",
    )
    snapshot = story.told(story.CLIENT, entry("a.test", "80/HTTP"), newer, older)
    assert goes(routes(snapshot, "80", "a.test:80")[0]) == ["outbound|80||old.test"]


def test_a_wildcard_means_every_service_below_it_that_no_closer_host_means() -> None:
    snapshot = story.told(
        story.CLIENT,
        entry("x.a.test", "80/HTTP"),
        entry("y.a.test", "80/HTTP"),
        virtual_service("*.a.test", name="wide", http=[{"route": [to("w.test")]}]),
        virtual_service("y.a.test", name="close", http=[{"route": [to("c.test")]}]),
    )
    assert goes(routes(snapshot, "80", "x.a.test:80")[0]) == ["outbound|80||w.test"]
    assert goes(routes(snapshot, "80", "y.a.test:80")[0]) == ["outbound|80||c.test"]


def test_a_virtual_service_that_is_shown_to_others_only_does_not_count() -> None:
    way = virtual_service("a.test", namespace="elsewhere", exportTo=["."], http=[{"route": [to("b.test")]}])
    snapshot = story.told(story.CLIENT, entry("a.test", "80/HTTP"), way)
    assert goes(routes(snapshot, "80", "a.test:80")[0]) == ["outbound|80||a.test"]


def test_a_consistent_hash_chooses_by_what_the_rule_names() -> None:
    hashed = rule("a.test", trafficPolicy={"loadBalancer": {"consistentHash": {"httpHeaderName": "x-user"}}})
    snapshot = story.told(story.CLIENT, entry("a.test", "80/HTTP"), hashed)
    (route,) = routes(snapshot, "80", "a.test:80")
    assert route["route"]["hash_policy"] == [{"header": {"header_name": "x-user"}}]
    assert said(snapshot, type_urls.CLUSTER, "outbound|80||a.test")["lb_policy"] == "RING_HASH"
