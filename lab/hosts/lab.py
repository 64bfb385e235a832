"""A lab by name: all its hosts up, all of it down.

Owns:      the order of making and unmaking, and that nothing is left, whatever was killed in between.
Does not:  start anything in the hosts but their name servers (names.py); see services.py.
"""

import os
import select
import shutil
import subprocess
import sys
import time
from typing import Final

from lab.hosts import kernel, leftovers, names, network
from lab.hosts.errors import LabError
from lab.hosts.host import Host
from lab.hosts.world import AGENT, MACHINES, NETNS, ROOT, Places

UP_PATIENCE: Final = 30.0
"""Seconds for all hosts to furnish themselves; it takes less than one on an idle machine."""


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
        """All hosts, connected, with their name servers. What a crash left of a lab of this name is cleared
        first.

        Raises LabError if the lab stands already, or cannot stand; nothing is left then.
        """
        leftovers.require_root()
        with leftovers.alone() as lock:
            if any(host.up for host in self.hosts):
                raise LabError(f"lab {self.name!r} is up already", hint=f"lab --name {self.name} down")
            self._clear()
            try:
                self._make(lock)
            except BaseException:
                self._clear()
                raise

    def down(self) -> None:
        """No process, namespace, mount or file of the lab is left. Twice is once."""
        leftovers.require_root()
        with leftovers.alone():
            self._clear()

    def _make(self, lock: int) -> None:
        if not (AGENT / "bin" / "envoy").exists():
            raise LabError(f"the agent is not staged in {AGENT}", hint="make setup")
        NETNS.mkdir(parents=True, exist_ok=True)
        for path in self._places.networks:
            kernel.new_network(path)
        network.connect(self._places)
        starters = [_Starter(self._places, host, lock) for host in self.hosts]
        deadline = time.monotonic() + UP_PATIENCE
        try:
            for starter in starters:
                starter.wait_until_ready(deadline)
            for starter in starters:
                starter.go()
        finally:
            for starter in starters:
                starter.close()
        names.start(self.host("istiod"), self.host("vm"))

    def _clear(self) -> None:
        # Twice, if the first look came between a process and the one it was about to fork.
        while found := leftovers.processes(self.name, self._places.networks):
            for pid in found:
                leftovers.end(pid)
        leftovers.forget_networks(self._places.networks)
        shutil.rmtree(self._places.state, ignore_errors=True)


class _Starter:
    """The pipes to one host's first process while the lab is made. When they break, that process ends."""

    def __init__(self, places: Places, host: Host, lock: int) -> None:
        self._host = host
        self._told = ""
        (places.host_state(host.name) / "layers").mkdir(parents=True)
        self._process = subprocess.Popen(
            [sys.executable, "-m", leftovers.INIT, places.lab, host.name],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            start_new_session=True,
            pass_fds=[lock],
        )

    def wait_until_ready(self, deadline: float) -> None:
        while "ready\n" not in self._told and self._hear(deadline):
            pass
        lines = self._told.splitlines()
        for line in lines:
            if line.startswith("pid "):
                self._host.record(int(line.split()[1]))
        if "ready" not in lines:
            why, _, hint = " ".join(line for line in lines if not line.startswith("pid ")).partition("\t")
            told = why.removeprefix("failed: ") or "its first process ended without a word"
            raise LabError(f"host {self._host.name}: {told}", hint=hint)

    def _hear(self, deadline: float) -> bool:
        """False at the end, which is when nobody holds the other end any more."""
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise LabError(f"host {self._host.name}: not furnished after {UP_PATIENCE:g} s: {self._told}")
        chunk = os.read(self._process.stdout.fileno(), 65536).decode()
        self._told += chunk
        return bool(chunk)

    def go(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(b"go\n")
        self.close()

    def close(self) -> None:
        """What we started has forked the host's first process and is waited for; that one is nobody's
        child.
        """
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait()
