"""The privileged process in a machine's network, and the agent it listens to."""

import contextlib
import fcntl
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from tests.conftest import ROOT
from tests.netns.capture.machine import Machine
from vmagent.runtime.places import GATES
from vmagent.runtime.readiness import Readiness

SOON = 30.0
"""Seconds for anything to happen; most of it takes one."""


class Agent:
    """What the daemon shows of itself: a lock that is held while it lives, and gates."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "gates").mkdir(parents=True)
        self._lock: IO[str] | None = None
        self._gates = Readiness(*GATES, directory=directory / "gates")

    def live(self) -> None:
        self._lock = (self.directory / "lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)

    def open(self) -> None:
        for gate in GATES:
            self._gates.open(gate)

    def close(self, gate: str, why: str) -> None:
        self._gates.close(gate, why)

    def die(self) -> None:
        if self._lock is not None:
            self._lock.close()


def driver(machine: Machine, *, die_at: int = -1) -> str:
    """The command line of an apply; ``die_at``: the step before which it is killed."""
    what = ("apply", str(machine.run_directory), json.dumps(machine.env), str(die_at))
    return shlex.join((sys.executable, "-m", "tests.netns.capture.driver", *what))


@contextlib.contextmanager
def holding(machine: Machine, agent: Agent, apply: str = "") -> Iterator["subprocess.Popen[str]"]:
    apply = apply or driver(machine)
    code = (
        "import logging, sys; from vmagent.capture.hold import hold;"
        "logging.basicConfig(level=logging.INFO, format='%(message)s'); sys.exit(hold(sys.argv[1:]))"
    )
    argv = machine.inside(
        sys.executable, "-c", code,
        f"--directory={machine.run_directory}", f"--agent={agent.directory}", f"--apply={apply}",
    )  # fmt: skip
    with subprocess.Popen(argv, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


def wait_until(true: Callable[[], bool], what: str) -> float:
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < SOON, f"{what} did not happen"
        time.sleep(0.02)
    return time.monotonic() - began


def gate(machine: Machine) -> str:
    path = machine.run_directory / "gates" / "capture"
    return path.read_text().strip() if path.exists() else ""


def captured(machine: Machine) -> bool:
    return "ISTIO_OUTPUT" in machine.run(f"iptables-{machine.flavour}-save")
