"""How long a change waits for others, in seconds of one clock."""

import pytest

from lab.controlplane.push import Debounce, Waiting, only_endpoints

ISTIODS = Debounce(after=0.1, longest=10.0)


def test_a_change_waits_for_quiet() -> None:
    assert Waiting.since(5.0).due(ISTIODS) == pytest.approx(5.1)
    assert Waiting.since(5.0).and_again(5.09).due(ISTIODS) == pytest.approx(5.19)


def test_a_world_that_never_is_quiet_is_told_all_the_same() -> None:
    waiting = Waiting.since(0.0)
    for tenth in range(1, 200):
        waiting = waiting.and_again(tenth / 10)
    assert waiting.due(ISTIODS) == pytest.approx(10.0)


def test_a_workload_is_an_endpoint_and_a_service_is_not() -> None:
    workload, service = ("WorkloadEntry", "shop", "a"), ("ServiceEntry", "shop", "a")
    assert only_endpoints([workload, ("Pod", "shop", "b")])
    assert not only_endpoints([workload, service])
