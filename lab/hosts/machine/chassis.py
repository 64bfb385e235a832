"""The metal of one machine: its disk, its cable, its power. What it boots is a Debian tree of tree.py.

    python -m lab.hosts.machine.chassis LAB HOST TREE       (standard input and output as lab.hosts.init)

Owns:      one systemd-nspawn after the other, for as long as the lab stands.
Does not:  run anything in the machine.
Surprise:  a machine that is switched on gets a fresh network namespace, as metal has an empty kernel: no
           rule, sysctl or connection outlives a reboot, and what is on the disk does. Everything is mounted
           in this process's own mount namespace and goes with the last process there.
"""

import contextlib
import os
import secrets
import select
import socket
import subprocess
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from lab.hosts import handshake, kernel, names, network
from lab.hosts.errors import LabError
from lab.hosts.furnish import CLONE_HOME, name_it
from lab.hosts.host import record
from lab.hosts.machine import cgroup, tree
from lab.hosts.world import ISTIOD, ROOT, SWITCH, Machine, Places, machine_of

DISK: Final = "1G"
"""In memory, so that a machine's fsync costs nothing and a full disk can be had."""

BOOT_PATIENCE: Final = 60.0
"""Seconds from power to the end of the boot; it takes less than one on an idle machine."""

REBOOT: Final = 133
"""systemd-nspawn's exit status when the machine asked to be switched on again."""

NSPAWN: Final = (
    "/usr/bin/systemd-nspawn", "--quiet", "--boot", "--notify-ready=yes", "--console=pipe",
    # Nothing of this machine's comes in, and no service of this machine's is asked.
    "--register=no", "--keep-unit", "--link-journal=no", "--resolv-conf=off", "--timezone=off",
    "--network-namespace-path=/proc/self/ns/net", "--capability=CAP_NET_ADMIN",
)  # fmt: skip

ENVIRONMENT: Final = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
    # As Debian 12 and Ubuntu 22.04 have it, whatever this machine has.
    "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
    # /proc/sys/net is the machine's own.
    "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network",
}

INIT, BOOTED, POWER, CONSOLE = "init", "booted", "power", "console"
"""Files in the host's state directory: the machine's first process; the same from the end of the boot until
nothing of the machine is left; a pipe, any byte in which switches it on; what it said on its console.
"""


def main(lab: str, host: str, flavour: str) -> int:
    if os.fork():
        return 0
    chassis = Chassis(Places(lab), replace(machine_of(host), tree=flavour))
    if not handshake.stand(chassis.stand):
        chassis.scrap()
        return 1
    chassis.serve()
    return 0


class Chassis:
    def __init__(self, places: Places, machine: Machine) -> None:
        self._machine = machine
        self._state = places.host_state(machine.name)
        self._group = cgroup.name(places, machine.name)
        self._name = f"{places.lab}-{machine.name}"
        # By handle, because the path is about to be out of sight here.
        switch = os.open(places.network(SWITCH), os.O_RDONLY | os.O_CLOEXEC)
        self._switch = Path(f"/proc/self/fd/{switch}")
        self._notes = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._leader = 0

    def stand(self) -> None:
        """Assembled and booted. Raises OSError or LabError; everything goes with this process then."""
        os.umask(0o022)
        assemble(self._machine, self._state, tree.layers(self._machine.tree))
        os.mkfifo(self._state / POWER)
        self._notes.bind(str(self._state / "notify"))
        running = self._switch_on()
        if not self._follow(running, time.monotonic() + BOOT_PATIENCE):
            raise LabError(f"{self._machine.name} has not booted:\n{console(self._state)}")
        self._running = running

    def serve(self) -> None:
        while True:
            self._follow(self._running, None)
            network.unplug(self._switch, self._machine)
            (self._state / BOOTED).unlink(missing_ok=True)
            if self._running.wait() != REBOOT:
                (self._state / POWER).read_bytes()
            self._running = self._switch_on()

    def scrap(self) -> None:
        cgroup.remove(self._group)

    def _switch_on(self) -> "subprocess.Popen[bytes]":
        kernel.unshare(kernel.NEWNET)
        network.plug(self._switch, self._machine, os.getpid())
        with (self._state / CONSOLE).open("ab") as told:
            return subprocess.Popen(
                [*NSPAWN, f"--machine={self._name}", f"--directory={self._state / 'root'}"],
                stdin=subprocess.DEVNULL,
                stdout=told,
                stderr=subprocess.STDOUT,
                env={**ENVIRONMENT, "NOTIFY_SOCKET": str(self._state / "notify")},
                start_new_session=True,
                preexec_fn=partial(cgroup.enter, self._group),
            )

    def _follow(self, running: "subprocess.Popen[bytes]", deadline: float | None) -> bool:
        """Write down what it tells: until it has booted if there is a deadline, else until it ends. False if
        that did not come about.
        """
        notes, handle = self._notes.fileno(), os.pidfd_open(running.pid)
        try:
            while True:
                left = None if deadline is None else max(0.0, deadline - time.monotonic())
                heard = select.select([notes, handle], [], [], left)[0]
                if notes in heard:
                    booted = self._note(self._notes.recv(4096).decode())
                    if booted and deadline is not None:
                        return True
                elif heard or deadline is not None:
                    return deadline is None
        finally:
            os.close(handle)

    def _note(self, message: str) -> bool:
        """Whether it says that the boot is done."""
        told = dict(line.partition("=")[::2] for line in message.splitlines())
        ready = told.get("READY") == "1"
        self._leader = int(told.get("X_NSPAWN_LEADER_PID", self._leader))
        with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile, which is noticed next
            record(self._state / (BOOTED if ready else INIT), self._leader)
        return ready


def assemble(machine: Machine, state: Path, layers: Sequence[Path], *, size: str = DISK) -> Path:
    """A fresh disk over the tree's layers, with what tells this machine from another. Where its files are."""
    kernel.private_mounts()
    disk, root = state / "disk", state / "root"
    for directory in (disk, root):
        directory.mkdir()
    kernel.mount("lab", str(disk), kind="tmpfs", options=f"mode=0755,size={size}")
    for name in ("upper", "work"):
        (disk / name).mkdir()
    lower = []
    for number, layer in enumerate(layers):
        # The clone's own path may have characters that mean something in a list of layers.
        lower.append(state / f"layer{number}")
        lower[-1].mkdir()
        kernel.mount(str(layer), str(lower[-1]), flags=kernel.BIND)
    laid = f"lowerdir={':'.join(map(str, lower))},upperdir={disk / 'upper'},workdir={disk / 'work'}"
    kernel.mount("lab", str(root), kind="overlay", options=laid)
    name_it(machine, root)
    (root / "etc/machine-id").write_text(f"{secrets.token_hex(16)}\n")
    _set_up_stub(machine, root)
    if machine.clone:
        clone = root / CLONE_HOME.relative_to("/")
        clone.mkdir(parents=True)
        kernel.mount(str(ROOT), str(clone), flags=kernel.BIND)
    # What systemd-nspawn leaves there is nobody's business.
    own = Path("/run/systemd")
    own.mkdir(exist_ok=True)
    kernel.mount("lab", str(own), kind="tmpfs", options="mode=0755")
    return root


def _set_up_stub(machine: Machine, root: Path) -> None:
    """systemd-resolved where the machine's resolver is its stub, as on Ubuntu; none elsewhere, as on
    Debian.
    """
    if names.STUB in machine.resolv_conf:
        (root / "etc/resolv.conf").unlink()
        (root / "etc/resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")
        settings = root / "etc/systemd/resolved.conf.d/lab.conf"
        settings.parent.mkdir()
        settings.write_text(f"[Resolve]\nDNS={ISTIOD}\nLLMNR=no\nMulticastDNS=no\n")
    else:
        (root / "etc/systemd/system/sysinit.target.wants/systemd-resolved.service").unlink()


def console(state: Path) -> str:
    try:
        return (state / CONSOLE).read_text(errors="replace")[-2000:]
    except FileNotFoundError:
        return ""


if __name__ == "__main__":
    handshake.run(main)
