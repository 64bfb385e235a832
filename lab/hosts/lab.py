"""A lab by name: all its hosts up, all of it down.

Owns:      the order of making and unmaking, and that nothing is left, whatever was killed in between.
Does not:  know what runs in the hosts (services.py).
"""

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from lab.hosts import kernel, network
from lab.hosts.errors import LabError
from lab.hosts.host import Host
from lab.hosts.process import birth
from lab.hosts.world import AGENT, MACHINES, NETNS, ROOT, STATE, Places

UP_PATIENCE: Final = 30.0
"""Seconds for all hosts to furnish themselves; it takes less than one on an idle machine."""

DOWN_PATIENCE: Final = 10.0
"""Seconds for the kernel to end everything in a host once its first process is killed."""


class Lab:
    def __init__(self, name: str = "demo") -> None:
        self.name = name
        self._places = Places(name)
        self._hosts = {machine.name: Host(self._places, machine) for machine in MACHINES}

    def host(self, name: str) -> Host:
        if name not in self._hosts:
            raise LabError(f"there is no host {name!r}", hint=f"one of: {', '.join(self._hosts)}")
        return self._hosts[name]

    @property
    def hosts(self) -> tuple[Host, ...]:
        return tuple(self._hosts.values())

    @property
    def is_up(self) -> bool:
        return all(host.up for host in self.hosts)

    def up(self) -> None:
        """All hosts, connected, without any service. What a crash left of a lab of this name is cleared first.

        Raises LabError if the lab stands already, or cannot stand; nothing is left then.
        """
        require_root()
        with _alone():
            if any(host.up for host in self.hosts):
                raise LabError(f"lab {self.name!r} is up already", hint=f"lab --name {self.name} down")
            self._clear()
            try:
                self._make()
            except BaseException:
                self._clear()
                raise

    def down(self) -> None:
        """No process, namespace, mount or file of the lab is left. Twice is once."""
        require_root()
        with _alone():
            self._clear()

    def _make(self) -> None:
        if not (AGENT / "bin" / "envoy").exists():
            raise LabError(f"the agent is not staged in {AGENT}", hint="make setup")
        NETNS.mkdir(parents=True, exist_ok=True)
        for path in self._places.networks:
            kernel.new_network(path)
        network.connect(self._places)
        starters = [_Starter(self._places, host) for host in self.hosts]
        deadline = time.monotonic() + UP_PATIENCE
        for starter in starters:
            starter.wait_until_ready(deadline)
        for starter in starters:
            starter.go()

    def _clear(self) -> None:
        for pid in _first_processes(self._places.networks):
            _end(pid)
        for path in self._places.networks:
            with contextlib.suppress(OSError):
                kernel.umount(str(path))
            path.unlink(missing_ok=True)
        shutil.rmtree(self._places.state, ignore_errors=True)


class _Starter:
    """The pipes to one host's first process while the lab is made. When they break, that process ends."""

    def __init__(self, places: Places, host: Host) -> None:
        self._host = host
        (places.host_state(host.name) / "layers").mkdir(parents=True)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "lab.hosts.init", places.lab, host.name],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def wait_until_ready(self, deadline: float) -> None:
        assert self._process.stdout is not None
        told = []
        while line := self._line(deadline):
            if line.startswith("pid "):
                self._host.record(int(line.split()[1]))
            elif line == "ready\n":
                self._process.wait()
                return
            else:
                told.append(line.strip())
        why, _, hint = " ".join(told).removeprefix("failed: ").partition("\t")
        raise LabError(f"host {self._host.name}: {why or 'its first process ended'}", hint=hint)
