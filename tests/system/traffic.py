"""Traffic on two machines of one mesh while something happens, and what it lost."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from lab.demo.stage import DESK, Stage
from lab.hosts.process import Process

LOAD = Path(__file__).with_name("load.py")
PYTHON = "/usr/lib/istio-agent/bin/python3"
"""The package's own: the machines have no other."""

LEAST = int(os.environ.get("LEAST", "0"))
"""Requests of each host, whatever happens how quickly. The table in docs/surviving.md was made with 10000."""

ENDS_WITHIN = 10.0 + LEAST / 50
"""Seconds for the last requests to be sent, and to be answered or to count as lost."""

JOBS = {
    "vm": (
        "new-out=outside.example",
        "kept-out=outside.example",
        "names=outside.example@{resolver}",
        "names-mesh=nginx.jd.com@{resolver}",
    ),
    "client": ("new-mesh=nginx.jd.com", "kept-mesh=nginx.jd.com"),
}
"""Out of the VM, into it over the mesh (its Envoy at both ends for its own), and what names it asks."""


@dataclass(slots=True)
class Report:
    """By host and kind."""

    sent: dict[str, int] = field(default_factory=dict)
    lost: dict[str, dict[str, int]] = field(default_factory=dict)
    longest: dict[str, float] = field(default_factory=dict)
    """Seconds between two answers."""

    def add(self, host: str, told: str) -> None:
        for kind, numbers in json.loads(told).items():
            name = f"{host} {kind}"
            self.sent[name], self.longest[name] = numbers["sent"], numbers["longest"]
            if numbers["lost"]:
                self.lost[name] = numbers["lost"]

    @property
    def badly(self) -> dict[str, dict[str, int]]:
        """What was lost beside names that the agent had in hand when it was killed: one of each kind."""
        mild = {"timed out": 1}
        return {name: why for name, why in self.lost.items() if "names" not in name or why != mild}

    @property
    def requests(self) -> int:
        return sum(self.sent.values())

    def of(self, word: str) -> float:
        """The longest pause of the kinds with that word in their name."""
        return max((pause for name, pause in self.longest.items() if word in name), default=0.0)

    def row(self, event: str) -> str:
        """Of the table in docs/surviving.md."""
        lost = sum(sum(why.values()) for why in self.lost.values())
        pauses = " | ".join(f"{self.of(kind):.2f} s" for kind in ("kept", "new", "names"))
        return f"| {event} | {self.requests} | {lost} {self.lost or ''} | {pauses} |"


@contextmanager
def traffic(stage: Stage, *, hosts: tuple[str, ...] = ("vm", "client")) -> Iterator[Report]:
    """From before the block until after it, and until LEAST requests have been sent."""
    report, running = Report(), {}
    for host in hosts:
        running[host] = _started(stage, host)
    try:
        yield report
    finally:
        for host, process in running.items():
            process.stop(ENDS_WITHIN)
            report.add(host, stage.lab.host(host).read(f"{DESK}/load.json"))


def _started(stage: Stage, host: str) -> Process:
    machine = stage.lab.host(host)
    machine.copy_in(LOAD, f"{DESK}/load.py")
    machine.run(["rm", "-f", f"{DESK}/load.json"])
    resolver = stage.quietly(host, "awk '/^nameserver/ {print $2; exit}' /etc/resolv.conf").strip()
    jobs = [job.format(resolver=resolver) for job in JOBS[host]]
    command = [PYTHON, "-I", f"{DESK}/load.py", f"{DESK}/load.json", str(LEAST), *jobs]
    return machine.spawn(command, log="/var/log/load/load.log")
