"""Retries, hashes and CORS of routes, as istiod writes them. Each test names its source."""

from typing import Any

import pytest

from tests.unit.lab import story
from tests.unit.lab.recorded import Json
from tests.unit.lab.served import entry, routes, rule, to, virtual_service


def governed(http: list[dict[str, Any]], *others: str) -> list[Json]:
    way = virtual_service("a.test", http=http)
    return routes(story.told(story.CLIENT, entry("a.test", "80/HTTP"), way, *others), "80", "a.test:80")


def hashed(**settings: Any) -> str:
    return rule("a.test", trafficPolicy={"loadBalancer": {"consistentHash": settings}})


def test_a_request_that_belongs_to_one_endpoint_is_retried_there_unless_the_document_says_otherwise() -> None:
    """istio/istio: core/route/retry/retry.go and retry_test.go, the cases with hashPolicy."""
    one = hashed(httpHeaderName="x-user")
    for retries, looks in (
        (None, False),
        ({"attempts": 2}, False),
        ({"attempts": 2, "retryIgnorePreviousHosts": True}, True),
    ):
        route = {"route": [to("a.test")], **({"retries": retries} if retries else {})}
        policy = governed([route], one)[0]["route"]["retry_policy"]
        assert ("retry_host_predicate" in policy) is looks, retries
        assert policy["host_selection_retry_max_attempts"] == "5"
    (none,) = governed(
        [{"retries": {"attempts": 1, "retryIgnorePreviousHosts": False}, "route": [to("a.test")]}]
    )
    assert "retry_host_predicate" not in none["route"]["retry_policy"]
    assert none["route"]["retry_policy"]["host_selection_retry_max_attempts"] == "5"


@pytest.mark.parametrize(
    ("written", "reasons", "codes"),
    [
        ("5xx,404,503", "5xx,retriable-status-codes", [404, 503]),
        ("gateway-error,retriable-status-codes,503", "gateway-error,retriable-status-codes", [503]),
        ("503", ",retriable-status-codes", [503]),
    ],
)
def test_a_status_code_is_a_reason_to_retry(written: str, reasons: str, codes: list[int]) -> None:
    """istio/istio: core/route/retry/retry.go, which puts the comma in front of nothing, too."""
    (route,) = governed([{"retries": {"attempts": 1, "retryOn": written}, "route": [to("a.test")]}])
    assert route["route"]["retry_policy"]["retry_on"] == reasons
    assert route["route"]["retry_policy"]["retriable_status_codes"] == codes


def test_a_port_that_hashes_nothing_of_its_own_leaves_the_rules_hash_to_routes() -> None:
    """istio/istio: core/route/route.go, hashForHTTPDestination."""
    ports = [{"port": {"number": 80}, "connectionPool": {"tcp": {"maxConnections": 1}}}]
    policy = {"loadBalancer": {"consistentHash": {"httpHeaderName": "x-user"}}, "portLevelSettings": ports}
    both = rule("a.test", trafficPolicy=policy)
    (route,) = governed([{"route": [to("a.test", port={"number": 80})]}], both)
    assert route["route"]["hash_policy"] == [{"header": {"header_name": "x-user"}}]


def test_preflights_of_other_origins_end_here_where_the_document_says_so() -> None:
    """istio/istio: core/route/route.go, TranslateCORSPolicy; allowOrigin is the older spelling."""
    policies = (
        ({"allowOrigins": [{"exact": "https://b.test"}]}, True),
        ({"allowOrigin": ["https://b.test"], "unmatchedPreflights": "IGNORE"}, False),
    )
    for policy, forwards in policies:
        (route,) = governed([{"corsPolicy": policy, "route": [to("a.test")]}])
        cors = route["typed_per_filter_config"]["envoy.filters.http.cors"]
        assert cors["forward_not_matching_preflights"] is forwards
        assert cors["allow_origin_string_match"] == [{"exact": "https://b.test"}]
