"""Names outside of the mesh on the VM, whose resolver is a stub on 127.0.0.53, in every state of the mesh."""

from collections.abc import Iterator

import pytest

from lab.demo import joining, resilience, story
from lab.demo.names import CURL, INSTALL, OUTSIDE_ANSWER
from lab.demo.stage import Stage
from lab.hosts.lab import Lab
from tests.staging import staged

OUTSIDE = "192.168.0.70"


@pytest.fixture
def stage() -> Iterator[Stage]:
    """The VM has its files; its agent and the control plane are down."""
    lab = Lab("outside")
    with staged(lab) as stage:
        story.begin(stage)
        joining.describe(stage)
        stage.carry("vm", "istiod", "vm")
        for command in INSTALL:
            stage.type("vm", command.format("vm"))
        stage.stop("istiod")
        yield stage


def reached(stage: Stage) -> bool:
    return stage.quietly("vm", f"{CURL} outside.example").strip() == OUTSIDE_ANSWER


def forwarded(stage: Stage) -> bool:
    """Asked of the agent itself, whether its port is captured for or not."""
    return stage.quietly("vm", "dig +short -p 15053 @127.0.0.1 outside.example").strip() == OUTSIDE


def test_they_resolve_and_are_reached_before_with_and_without_a_control_plane(stage: Stage) -> None:
    assert reached(stage)

    joining.start(stage, "vm")
    stage.until("the agent answers names", lambda: forwarded(stage), within=5)
    assert reached(stage)
    assert "ISTIO" not in stage.quietly("vm", "iptables-save")

    resilience.start_control_plane(stage)
    stage.type("vm", "vmagent wait --timeout 20 && vmagent wait capture")
    assert forwarded(stage)
    assert reached(stage)
    assert "ISTIO" in stage.quietly("vm", "iptables-save")

    stage.stop("istiod")
    stage.until("the agent notices", lambda: not resilience.connected(stage, "vm"), within=5)
    assert forwarded(stage)
    assert reached(stage)
