"""A VM of the lab that can join again and again, and how long and how much that takes.

Owns:      the lab, the operator's files on it, one measured life of the agent.
Does not:  know medians or tables (__main__.py).
"""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.demo import joining, story
from lab.demo.names import INSTALL
from lab.demo.stage import SCENARIO, Stage
from lab.hosts import kernel, services
from lab.hosts.host import Host
from lab.hosts.lab import Lab

READY_PORT: Final = 15021
PATIENCE: Final = 90.0
"""Seconds until a start counts as failed: Istio's agent needs 75 s with a tracer that does not resolve."""

POLL: Final = 0.005
SETTLED: Final = 5.0
"""Seconds after ready when the agent counts as idle."""

SILENT: Final = "127.0.0.77"
TRACER: Final = "zipkin.istio-system:9411"


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """``ready`` in seconds from exec to 200 on port 15021; memory in MB of the daemon alone."""

    ready: float
    rss: float
    pss: float


@contextmanager
def joined_machine() -> Iterator[Lab]:
    """A lab whose VM has the operator's files, and no agent running. The control plane is one host away."""
    lab = Lab("bench")
    lab.up()
    try:
        stage = Stage(lab, lambda kind, line: None)
        story.begin(stage)
        joining.describe(stage)
        stage.carry("vm", "istiod", "vm")
        for command in INSTALL:
            stage.type("vm", command.format("vm"))
        stage.mesh(f"apply -f {SCENARIO / 'serviceentry.yaml'}")
        yield lab
    finally:
        lab.down()


def trace_to(vm: Host, address: str | None) -> None:
    """Write the tracer of Istio 1.10 into the mesh file, or take it out. Its name resolves nowhere."""
    mesh = vm.read("/etc/istio/config/mesh")
    lines = [
        line for line in mesh.splitlines() if not any(word in line for word in ("tracing", "zipkin", TRACER))
    ]
    if address:
        at = lines.index("defaultConfig:") + 1
        lines[at:at] = ["  tracing:", "    zipkin:", f"      address: {address}"]
    vm.write("/etc/istio/config/mesh", "\n".join(lines) + "\n", owner="istio-proxy")


@contextmanager
def silent_resolver(vm: Host) -> Iterator[None]:
    """The VM's resolver takes every question and answers none, as one behind a broken link does."""
    before = vm.read("/etc/resolv.conf")
    with kernel.inside_network(vm.network):
        resolver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with resolver:
        resolver.bind((SILENT, 53))
        vm.write("/etc/resolv.conf", f"nameserver {SILENT}\n")
        try:
            yield
        finally:
            vm.write("/etc/resolv.conf", before)


def live(vm: Host) -> Life:
    """One life: no certificate kept from the last one, from exec to ready, idle, and gone again."""
    vm.run(["rm", "-f", "/etc/certs/key.pem", "/etc/certs/cert-chain.pem"])
    began = time.monotonic()
    service = services.start_agent(vm)
    ready = until_ready(vm, began)
    time.sleep(SETTLED)
    memory = memory_of(service.process.outer or 0)
    service.stop()
    return Life(ready=ready, rss=memory["Rss"], pss=memory["Pss"])


def until_ready(vm: Host, began: float) -> float:
    """Seconds since ``began``."""
    while not _answers(vm):
        if time.monotonic() - began > PATIENCE:
            raise TimeoutError(f"not ready after {PATIENCE:g} s: {vm.read(services.AGENT_LOG)[-2000:]}")
        time.sleep(POLL)
    return time.monotonic() - began


def _answers(vm: Host) -> bool:
    with kernel.inside_network(vm.network):
        sock = socket.socket()
    with sock:
        sock.settimeout(1.0)
        try:
            sock.connect(("127.0.0.1", READY_PORT))
            sock.sendall(b"GET /healthz/ready HTTP/1.1\r\nHost: localhost\r\n\r\n")
            return b" 200 " in sock.recv(64)
        except OSError:
            return False


def memory_of(pid: int) -> dict[str, float]:
    """MB of 10^6 bytes, by smaps_rollup."""
    found: dict[str, float] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, _, rest = line.partition(":")
        found[name] = int(rest.split()[0]) * 1024 / 1e6
    return found
