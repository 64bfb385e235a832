"""Something happens to a machine while clients ask; what shall be the same afterwards, and its row in the
table of docs/surviving.md.
"""

import contextlib
from collections.abc import Callable, Iterator

from lab.demo import resilience
from lab.demo.names import GET_ENTRY
from lab.demo.stage import Stage
from lab.hosts.machine.host import SystemdHost
from tests.system import operator
from tests.system.operator import Journal
from tests.system.traffic import Report, traffic

ROWS: list[str] = []


@contextlib.contextmanager
def printed() -> Iterator[None]:
    """What docs/surviving.md has."""
    try:
        yield
    finally:
        print("\n".join(ROWS))


class Before:
    """What shall be the same afterwards."""

    def __init__(self, stage: Stage, vm: SystemdHost) -> None:
        self.agent = vm.show("istio-agent", "MainPID")["MainPID"]
        self.envoy = envoy(stage)
        self.entry = resilience.identity(stage.mesh_quietly(GET_ENTRY))
        self.rules = written(stage)
        self.journal = Journal(vm)


def envoy(stage: Stage) -> str:
    """Its pid; of the new one, as long as the one that it has replaced still drains."""
    return stage.quietly("vm", "pgrep -n -x envoy").strip()


def written(stage: Stage) -> list[str]:
    """The rules, without counters."""
    return stage.quietly("vm", "iptables-save | grep istio-agent: | sed 's/^\\[[^]]*\\] //'").splitlines()


def serves(stage: Stage) -> bool:
    return "ready" in stage.quietly(
        "vm", "vmagent wait --timeout 1 && vmagent wait --timeout 1 capture && echo ready"
    )


def held(
    stage: Stage, vm: SystemdHost, event: str, happens: Callable[[], None], *, kept: bool = True
) -> tuple[Before, Report]:
    """Clients ask; it happens; the agent serves again. ``kept``: through the same Envoy, under the same
    rules.
    """
    before = Before(stage, vm)
    with traffic(stage) as report:
        happens()
        stage.until("the agent serves again", lambda: serves(stage), within=60)
        assert resilience.identity(stage.mesh_quietly(GET_ENTRY)) == before.entry
        if kept:
            assert envoy(stage) == before.envoy
            assert written(stage) == before.rules
            assert "taking the rules back" not in before.journal.said("istio-capture")
    ROWS.append(report.row(event))
    print(ROWS[-1])
    return before, report


def another_agent(stage: Stage, vm: SystemdHost, old: str) -> None:
    def changed() -> bool:
        return vm.show("istio-agent", "MainPID")["MainPID"] not in (old, "0")

    stage.until("another agent", changed, within=60)


def signalled(stage: Stage, vm: SystemdHost, number: str) -> Callable[[], None]:
    def happens() -> None:
        old = vm.show("istio-agent", "MainPID")["MainPID"]
        vm.run(["kill", f"-{number}", old])
        another_agent(stage, vm, old)

    return happens


def nothing_is_left(stage: Stage, vm: SystemdHost) -> None:
    stage.until(
        "nothing is left",
        lambda: stage.quietly("vm", "pgrep -u istio-proxy; pgrep -x envoy; pgrep -f 'capture hold'") == "",
        within=10,
    )
    assert not operator.captured(vm)
    over = {"inactive", "failed"}  # systemd remembers that one was killed
    stage.until("both units are stopped", lambda: set(operator.active(vm).values()) <= over, within=10)
