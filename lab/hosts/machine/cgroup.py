"""A control group per machine: its systemd expects one that nobody else is in.

Owns:      their names, entering one, and ending whoever is left in it.
Does not:  limit anything.
Surprise:  the kernel's tree of groups is one for all. What tells labs of the same name apart, which stand in
           different network namespaces, is the number of their switch.
"""

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Final

from lab.hosts.errors import LabError
from lab.hosts.world import SWITCH, Places

PATIENCE: Final = 10.0
"""Seconds for the kernel to end everything in a group."""

POLL: Final = 0.01


def hierarchies() -> list[Path]:
    """Where systemd keeps track of processes: version 2, and beside it on an older machine the hierarchy that
    has its name.
    """
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        kind, _, options = after.split()[:3]
        if kind == "cgroup2" or (kind == "cgroup" and "name=systemd" in options.split(",")):
            found.append(Path(before.split()[4]))
    if not found:
        raise LabError("this machine has no control groups", hint="mount -t cgroup2 none /sys/fs/cgroup")
    return found


def name(places: Places, host: str) -> str:
    return f"vmlab-{places.lab}-{host}-{places.network(SWITCH).stat().st_ino}"


def enter(group: str) -> None:
    """The calling process, and what it starts from now on."""
    for hierarchy in hierarchies():
        (hierarchy / group).mkdir(exist_ok=True)
        (hierarchy / group / "cgroup.procs").write_text("0")


def clear(places: Places) -> None:
    """No group of this lab is left, and nobody in one. Not called while somebody starts a machine of it."""
    if places.network(SWITCH).exists():
        remove(name(places, "*"))


def remove(pattern: str) -> None:
    """These groups, and everybody in them."""
    deadline = time.monotonic() + PATIENCE
    while groups := [group for top in hierarchies() for group in top.glob(pattern)]:
        directories = [Path(found) for group in groups for found, _, _ in os.walk(group, topdown=False)]
        for directory in directories:
            _end(directory)
        for directory in directories:
            with contextlib.suppress(OSError):  # somebody in it has not quite ended
                directory.rmdir()
        if time.monotonic() > deadline:
            raise LabError(f"{groups[0]} does not become empty", hint="look who is in its cgroup.procs")
        time.sleep(POLL)


def _end(directory: Path) -> None:
    with contextlib.suppress(OSError):  # they have ended meanwhile
        for pid in (directory / "cgroup.procs").read_text().split():
            os.kill(int(pid), signal.SIGKILL)
