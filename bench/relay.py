"""The relay under load: the agent of the lab's VM between a control plane that only sends (sender.py) and a
client in Envoy's place (receiver.py), on the same hosts and over the same TLS as without an agent.

Owns:      the processes, the agent's settings for it, and which pushes make which row.
Does not:  measure (receiver.py).
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from bench.machine import memory_of, until_ready
from bench.payloads import LARGE, ONE, SMALL, WITH_FILTERS
from bench.sender import PORT
from lab.hosts import services
from lab.hosts.host import Host
from lab.hosts.lab import Lab
from lab.hosts.world import ROOT

SETTINGS: Final = "/var/lib/istio/envoy/sidecar.env"
ROOT_CERT: Final = "/etc/certs/bench-root.pem"
SOCKET: Final = "/var/lib/istio/proxy/XDS"

TIMES: Final = 20
MANY: Final = 150
"""Of small pushes: a moment in which the machine is busy is long beside them."""

BLOCK: Final = 10
"""Pushes in turns whose medians are compared."""

LIVES: Final = 3
"""How often memory is looked at where it differs from one start to the next."""

SETTLED: Final = 5.0
"""Seconds after the last push when memory is looked at."""

_ALLOCATOR: Final = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1", "MALLOC_ARENA_MAX": "1"}
"""As in the agent's unit, for sender and receiver too: the figures would be those of their page faults."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushes:
    """Milliseconds of each push, both ways."""

    direct: list[float]
    agent: list[float]

    def __add__(self, more: "Pushes") -> "Pushes":
        return Pushes(direct=self.direct + more.direct, agent=self.agent + more.agent)

    @property
    def ratios(self) -> list[float]:
        """Of the medians of each BLOCK: a busy moment hits one way alone."""
        blocks = range(0, len(self.agent), BLOCK)
        return [median(self.agent[at : at + BLOCK]) / median(self.direct[at : at + BLOCK]) for at in blocks]

    @property
    def added(self) -> list[float]:
        return [through - straight for through, straight in zip(self.agent, self.direct, strict=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Of one variant. Memory is the daemon's, resident, in MB: after ten and after twenty large pushes, and
    with a mesh of 10 000 services, of several lives.
    """

    large: Pushes
    small: Pushes
    one: Pushes | None
    with_filters: Pushes
    after_ten: float
    after_twenty: float
    services: list[float]


def measure(lab: Lab, *, delta: bool) -> Figures:
    with lives(lab, delta=delta) as life:
        with life() as one:
            small = one.pushes(SMALL, times=MANY)
            change = one.pushes(ONE) if delta else None
            first, after_ten = one.pushes(LARGE, times=TIMES // 2), one.memory
            second, after_twenty = one.pushes(LARGE, times=TIMES // 2), one.memory
            third = one.pushes(LARGE)
        with life() as one:
            with_filters = one.pushes(WITH_FILTERS)
            one.ask(do="control", method="Serve", services=True, delta=delta)
        services_memory = []
        for _ in range(LIVES):
            with life() as one:
                one.ask(do="services", delta=delta)
                services_memory.append(one.memory)
    return Figures(
        large=first + second + third,
        small=small,
        one=change,
        with_filters=with_filters,
        after_ten=after_ten,
        after_twenty=after_twenty,
        services=services_memory,
    )


@contextmanager
def lives(lab: Lab, *, delta: bool) -> Iterator[Callable[[], AbstractContextManager["Life"]]]:
    """A sender, and how to live before it."""
    vm, away = lab.host("vm"), lab.host("client")
    with tempfile.TemporaryDirectory() as state, _process(away, "bench.sender", state) as sender:
        _expect(sender, "serving")
        root = Path(state, "root-cert.pem")
        vm.write(ROOT_CERT, root.read_text())
        _tell(vm, away.address, delta=delta)
        yield lambda: _life(vm, away.address, root, delta=delta)


@dataclass(frozen=True, slots=True)
class Life:
    """An agent with a receiver in its Envoy's place."""

    agent: int
    """Its pid, here."""
    receiver: "subprocess.Popen[str]"
    delta: bool

    def ask(self, **what: Any) -> Any:
        """Keywords in, what the receiver answered out."""
        assert self.receiver.stdin is not None
        self.receiver.stdin.write(json.dumps(what) + "\n")
        self.receiver.stdin.flush()
        return json.loads(_line(self.receiver))

    def pushes(self, what: str, times: int = TIMES) -> Pushes:
        return Pushes(**self.ask(do="pushes", delta=self.delta, what=what, times=times))

    @property
    def memory(self) -> float:
        time.sleep(SETTLED)
        return memory_of(self.agent)["Rss"]


@contextmanager
def _life(vm: Host, sender: str, root: Path, *, delta: bool) -> Iterator[Life]:
    began = time.monotonic()
    service = services.start_agent(vm)
    try:
        until_ready(vm, began)
        agent = service.process.outer or 0
        socket = f"/proc/{agent}/root{SOCKET}"
        with _process(vm, "bench.receiver", sender, str(root), socket) as receiver:
            yield Life(agent, receiver, delta)
    finally:
        service.stop()


def _tell(vm: Host, sender: str, *, delta: bool) -> None:
    settings = {
        "PILOT_ADDRESS": f"{sender}:{PORT}",
        "CA_ADDR": "istiod.istio-system.svc:15012",
        "ISTIOD_SAN": "istiod.istio-system.svc",
        "XDS_ROOT_CA": ROOT_CERT,
        "ISTIO_DELTA_XDS": str(delta).lower(),
    }
    lines = "".join(f"{name}={value}\n" for name, value in settings.items())
    vm.write(SETTINGS, lines, owner="istio-proxy")


@contextmanager
def _process(host: Host, module: str, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
    """In the network of ``host``, with the files of this machine."""
    command = ["/usr/bin/nsenter", f"--net={host.network}", sys.executable, "-m", module, *arguments]
    environment: Mapping[str, str] = {**os.environ, **_ALLOCATOR}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _expect(process: "subprocess.Popen[str]", line: str) -> None:
    if (said := _line(process)) != line:
        raise RuntimeError(f"{process.args!r} says {said!r}")


def _line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    if not (line := process.stdout.readline()):
        raise RuntimeError(f"{process.args!r} has ended")
    return line.strip()
