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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final

from bench.machine import memory_of, until_ready
from bench.sender import PORT
from lab.hosts import services
from lab.hosts.host import Host
from lab.hosts.lab import Lab
from lab.hosts.world import ROOT

SETTINGS: Final = "/var/lib/istio/envoy/sidecar.env"
ROOT_CERT: Final = "/etc/certs/bench-root.pem"
SOCKET: Final = "/var/lib/istio/proxy/XDS"

LARGE: Final = 10_000
SMALL: Final = 333
"""Clusters of a push of 30 MB, and of one of 1 MB."""

TIMES: Final = 20
SETTLED: Final = 5.0
"""Seconds after the last push when memory is looked at."""

_ALLOCATOR: Final = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1", "MALLOC_ARENA_MAX": "1"}
"""As in the agent's unit, for sender and receiver too: the figures would be those of their page faults."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushes:
    """Milliseconds of each push, both ways."""

    direct: list[float]
    agent: list[float]

    @property
    def ratios(self) -> list[float]:
        return [through / straight for through, straight in zip(self.agent, self.direct, strict=True)]

    @property
    def added(self) -> list[float]:
        return [through - straight for through, straight in zip(self.agent, self.direct, strict=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Of one variant. Memory is the daemon's, resident, in MB: after ten and after twenty large pushes, and
    with a mesh of 10 000 services.
    """

    large: Pushes
    small: Pushes
    one: Pushes | None
    after_ten: float
    after_twenty: float
    services: float


def measure(lab: Lab, *, delta: bool) -> Figures:
    vm, away = lab.host("vm"), lab.host("client")
    with tempfile.TemporaryDirectory() as state, _process(away, "bench.sender", state) as sender:
        _expect(sender, "serving")
        root = Path(state, "root-cert.pem")
        vm.write(ROOT_CERT, root.read_text())
        _tell(vm, away.address, delta=delta)
        with _agent(vm) as pid, _receiver(vm, away.address, root, pid) as ask:
            small = Pushes(**ask(do="pushes", delta=delta, clusters=SMALL, times=TIMES))
            one = Pushes(**ask(do="pushes", delta=True, clusters=0, times=TIMES)) if delta else None
            first = Pushes(**ask(do="pushes", delta=delta, clusters=LARGE, times=TIMES // 2))
            after_ten = _settled(pid)
            second = Pushes(**ask(do="pushes", delta=delta, clusters=LARGE, times=TIMES // 2))
            after_twenty = _settled(pid)
            ask(do="control", method="Serve", services=True, delta=delta)
        with _agent(vm) as pid, _receiver(vm, away.address, root, pid) as ask:
            ask(do="services", delta=delta)
            services_memory = _settled(pid)
    large = Pushes(direct=first.direct + second.direct, agent=first.agent + second.agent)
    return Figures(
        large=large,
        small=small,
        one=one,
        after_ten=after_ten,
        after_twenty=after_twenty,
        services=services_memory,
    )


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
def _agent(vm: Host) -> Iterator[int]:
    """Its pid, here."""
    began = time.monotonic()
    service = services.start_agent(vm)
    try:
        until_ready(vm, began)
        yield service.process.outer or 0
    finally:
        service.stop()


@contextmanager
def _receiver(vm: Host, sender: str, root: Path, agent: int) -> Iterator[Any]:
    """A function: keywords in, what the receiver answered out."""
    socket = f"/proc/{agent}/root{SOCKET}"
    with _process(vm, "bench.receiver", sender, str(root), socket) as process:

        def ask(**what: Any) -> Any:
            _to(process).write(json.dumps(what) + "\n")
            _to(process).flush()
            return json.loads(_line(process))

        yield ask


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


def _to(process: "subprocess.Popen[str]") -> IO[str]:
    assert process.stdin is not None
    return process.stdin


def _settled(pid: int) -> float:
    time.sleep(SETTLED)
    return memory_of(pid)["Rss"]
