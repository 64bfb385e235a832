"""A lab by name: all its hosts up, all of it down.

Owns:      the order of making and unmaking, and that nothing is left, whatever was killed in between.
Does not:  start anything in the hosts but their name servers (names.py); see services.py.
"""

import shutil
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from lab.hosts import kernel, leftovers, names, network
from lab.hosts.errors import LabError
from lab.hosts.handshake import Starter
from lab.hosts.host import Host
from lab.hosts.machine import cgroup
from lab.hosts.machine.host import SystemdHost
from lab.hosts.virtual import layer
from lab.hosts.virtual.host import VirtualHost
from lab.hosts.world import (
    AGENT,
    FAMILIES,
    MACHINES,
    NETNS,
    SWITCH,
    Families,
    Machine,
    Places,
    machine_of,
)

TREE: Final = "tree"
"""File in the state directory of a host that boots: which tree."""


class Lab:
    """``machines`` says which hosts boot a Debian, and which tree (machine/tree.py; ``kernel`` has its own
    kernel, virtual/layer.py); the others are made of namespaces. What a lab that stands was made of is known
    without it. ``families`` says which of those have addresses of IPv6; istiod's host has both then.
    """

    def __init__(
        self,
        name: str = "demo",
        machines: Mapping[str, str] | None = None,
        *,
        families: Mapping[str, Families] | None = None,
    ) -> None:
        self.name = name
        self._families = {"istiod": Families.BOTH, **families} if families else {}
        self._places = Places(name)
        self._wanted = {machine_of(host).name: tree for host, tree in (machines or {}).items()}
        self._made_of(self._wanted or _recorded_trees(self._places))

    def _made_of(self, trees: Mapping[str, str]) -> None:
        self._machines = [
            replace(machine, tree=trees.get(machine.name, "")).with_families(
                self._families.get(machine.name, Families.IPV4)
            )
            for machine in MACHINES
        ]
        self._hosts = {machine.name: _host(self._places, machine) for machine in self._machines}

    def host(self, name: str) -> Host:
        return self._hosts[machine_of(name).name]

    def machine(self, name: str) -> SystemdHost:
        host = self.host(name)
        if not isinstance(host, SystemdHost):
            raise LabError(f"host {name} has no systemd of its own", hint="lab up --machines")
        return host

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
            self._made_of(self._wanted)
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
        spaces = [machine for machine in self._machines if not machine.tree]
        for name in (SWITCH, *(machine.name for machine in spaces)):
            kernel.new_network(self._places.network(name))
        network.connect(self._places, spaces)
        starters = [self._starter(machine, lock) for machine in self._machines]
        deadline = time.monotonic() + max(host.stands_within for host in self.hosts)
        try:
            for starter in starters:
                starter.wait_until_ready(deadline)
            for starter in starters:
                starter.go()
        finally:
            for starter in starters:
                starter.close()
        names.start(self.host("istiod"), self.host("vm"), self.host("outside"))

    def _starter(self, machine: Machine, lock: int) -> Starter:
        state = self._places.host_state(machine.name)
        state.mkdir(parents=True)
        (state / FAMILIES).write_text(machine.families)
        host, arguments = self._hosts[machine.name], [self.name, machine.name]
        if machine.tree:
            (state / TREE).write_text(machine.tree)
            arguments.append(machine.tree)
        return Starter(host, host.first_process, arguments, lock)

    def _clear(self) -> None:
        # Twice, if the first look came between a process and the one it was about to fork.
        while found := leftovers.processes(self._places):
            for pid in found:
                leftovers.end(pid)
        cgroup.clear(self._places)
        leftovers.forget_networks(self._places.networks)
        shutil.rmtree(self._places.state, ignore_errors=True)


def _host(places: Places, machine: Machine) -> Host:
    if machine.tree == layer.NAME:
        return VirtualHost(places, machine)
    return (SystemdHost if machine.tree else Host)(places, machine)


def _recorded_trees(places: Places) -> dict[str, str]:
    return {path.parent.name: path.read_text() for path in places.state.glob(f"*/{TREE}")}
