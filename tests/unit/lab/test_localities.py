"""Endpoints in several places: whom a client prefers, as the rule says or the mesh by default.

Expectations are those of istio/istio: core/loadbalancer/loadbalancer.go, core/cluster_traffic_policy.go.
"""

from dataclasses import replace

import pytest

from lab.controlplane import type_urls
from lab.controlplane.proxy import Locality
from lab.controlplane.resources import read
from lab.controlplane.snapshot import Snapshot
from tests.unit.lab import story
from tests.unit.lab.recorded import Json
from tests.unit.lab.served import entry, rule, said

A = "outbound|80||a.test"
PLACES = ("eu/a", "eu/b", "us/a", "asia/a")
EJECTS = {"outlierDetection": {"consecutive5xxErrors": 3}}
WEIGHTED = "locality_weighted_lb_config"


def told(setting: Json | None, *, resolution: str = "STATIC", ejects: bool = False) -> Snapshot:
    """To a client in eu/a."""
    policy = EJECTS if ejects else {}
    endpoints = [{"address": f"10.1.0.{n}", "locality": where} for n, where in enumerate(PLACES, 1)]
    document = entry("a.test", "80/HTTP", resolution=resolution, endpoints=endpoints)
    balancer = {"loadBalancer": {"localityLbSetting": setting}} if setting is not None else {}
    client = replace(story.CLIENT, locality=Locality(region="eu", zone="a"))
    return story.told(client, document, rule("a.test", trafficPolicy={**balancer, **policy}))


def groups(snapshot: Snapshot) -> dict[str, Json]:
    made = snapshot.of(type_urls.ENDPOINT)
    assignment = (
        said(snapshot, type_urls.ENDPOINT, A)
        if A in made
        else said(snapshot, type_urls.CLUSTER, A)["load_assignment"]
    )
    return {
        f"{each['locality']['region']}/{each['locality']['zone']}": each for each in assignment["endpoints"]
    }


def priorities(snapshot: Snapshot) -> list[int]:
    found = groups(snapshot)
    return [found[where].get("priority", 0) for where in PLACES]


def weighted(snapshot: Snapshot) -> bool:
    return WEIGHTED in said(snapshot, type_urls.CLUSTER, A)["common_lb_config"]


@pytest.mark.parametrize("resolution", ["STATIC", "DNS"])
def test_requests_are_shared_out_among_localities_as_the_rule_says(resolution: str) -> None:
    snapshot = told(
        {
            "distribute": [
                {"from": "us/*", "to": {"us": 100}},
                {"from": "eu/*", "to": {"eu/*": 81, "us/a": 19}},
            ]
        },
        resolution=resolution,
    )
    found = groups(snapshot)
    # Two groups share 81, each rounded up; a locality without a share has no endpoints.
    assert [found[each]["load_balancing_weight"] for each in PLACES] == [41, 41, 19, 1]
    assert [len(found[each].get("lb_endpoints", ())) for each in PLACES] == [1, 1, 1, 0]
    assert weighted(snapshot)


def test_a_region_that_is_named_comes_before_all_others() -> None:
    snapshot = told({"failover": [{"from": "eu", "to": "us"}]}, ejects=True)
    assert priorities(snapshot) == [0, 1, 2, 3]
    assert weighted(snapshot)


def test_without_a_word_the_nearest_comes_first_where_failing_endpoints_are_noticed() -> None:
    usual = told(None, ejects=True)
    assert priorities(usual) == [0, 1, 2, 2]
    assert not weighted(usual)
    unnoticed = told({"failover": [{"from": "eu", "to": "us"}]})
    assert priorities(unnoticed) == [0, 0, 0, 0]
    assert not weighted(unnoticed)


def test_where_it_is_switched_off_all_are_the_same() -> None:
    assert priorities(told({"enabled": False}, ejects=True)) == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("setting", "why"),
    [
        ({"distribute": [{"from": "a", "to": {"b": 60}}]}, "total locality weight 60 != 100"),
        ({"distribute": [{"from": "a", "to": {"b": 0}}]}, "a whole number from 1 to 100"),
        ({"failover": [{"from": "a", "to": "a"}]}, "must specify different regions"),
        ({"failover": [{"from": "a/b", "to": "c"}]}, "only specify region"),
        (
            {"distribute": [{"from": "a", "to": {"b": 100}}], "failover": [{"from": "a", "to": "b"}]},
            "can not simultaneously specify",
        ),
    ],
)
def test_a_setting_that_cannot_be_followed_is_refused(setting: Json, why: str) -> None:
    """istio/istio: pkg/config/validation/agent/validation.go, ValidateLocalityLbSetting."""
    document = rule("a.test", trafficPolicy={"loadBalancer": {"localityLbSetting": setting}})
    (refused,) = read(document, file="mesh.yaml").refused
    assert why in str(refused.why)
