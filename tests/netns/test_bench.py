"""The benchmark's own parts still fit the agent. What it measures is no test's business."""

from collections.abc import Iterator

import pytest

from bench.machine import joined_machine
from bench.payloads import SMALL
from bench.relay import lives
from lab.hosts.lab import Lab


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with joined_machine() as lab:
        yield lab


@pytest.mark.parametrize("delta", [False, True], ids=["state of the world", "incremental"])
def test_a_push_comes_straight_and_through_the_agent(lab: Lab, delta: bool) -> None:
    with lives(lab, delta=delta) as life, life() as one:
        pushes = one.pushes(SMALL, times=1)
    assert (len(pushes.direct), len(pushes.agent)) == (1, 1)
