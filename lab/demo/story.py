"""The main story of the documents: a virtual machine joins the mesh, serves it, and leaves it.

Each step types what the operator of the document types, and claims what the document shows. The demo prints
the steps, the netns tests assert them: there is one text.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from lab.demo import byhand, joining, leaving, resilience, traffic
from lab.demo.names import CURL, VM_ANSWER
from lab.demo.stage import Failed, Stage
from lab.hosts import services


@dataclass(frozen=True, slots=True)
class Step:
    title: str
    play: Callable[[Stage], None]


def begin(stage: Stage) -> None:
    """The mesh is there before the story, a VM that knows nothing of it, and the world outside of both."""
    resilience.start_control_plane(stage)
    stage.services["outside"] = services.start_application(stage.lab.host("outside"))
    stage.kept["before"] = stage.quietly("vm", "iptables-save")


STEPS: Final = (
    Step("The operator describes the VM: five files", joining.describe),
    Step("The VM joins the mesh", joining.join),
    Step("The control plane has written down who joined", joining.registered),
    Step("A client joins, too, although the control plane is late", joining.client_joins),
    Step("Traffic and DNS are captured on both", joining.captured),
    Step("The application starts, and is healthy", traffic.healthy),
    Step("A request crosses the mesh, over mutual TLS", traffic.request),
    Step("Names outside of the mesh still resolve", traffic.outside),
    Step("A pod joins the service: two backends", traffic.two_backends),
    Step("Routing rules change that, live", traffic.routed),
    Step("The other direction: the VM reaches a pod", traffic.other_direction),
    Step("The application stops: 503 at once, no hang; and back", traffic.unhealthy),
    Step("The control plane is away for 20 s, and nobody notices", resilience.reconnect),
    Step("What the VM says about itself", resilience.metrics),
    Step("The VM leaves without a trace", leaving.leave),
    Step("And without an agent: a VM that is written down by hand, then moved to a pod", byhand.written_down),
)


def replay(stage: Stage) -> None:
    """For whoever wants to walk around: the VM is back in the mesh, and gets the traffic."""
    joining.start(stage, "vm")
    if "ready" not in stage.quietly("vm", "vmagent wait && vmagent wait capture && echo ready"):
        raise Failed("the VM did not come back")
    traffic.route(stage, 100, 0)
    stage.until("it answers", lambda: VM_ANSWER in stage.quietly("client", f"{CURL} nginx.jd.com"), within=15)
