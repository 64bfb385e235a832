"""The metal of one machine with a kernel of its own: disk, network card, power.

    python -m lab.hosts.virtual.computer LAB HOST TREE      (standard input and output as lab.hosts.init)

Owns:      one QEMU after the other, for as long as the lab stands.
Does not:  run anything in the machine.
Surprise:  it is emulated, also where there is a KVM: a lab is the same everywhere, and what is virtual itself
           may offer one that hangs. What the machine had not yet written to its disk is lost with its power.
"""

import contextlib
import os
import select
import subprocess
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from lab.hosts import handshake, kernel, network
from lab.hosts.errors import LabError
from lab.hosts.host import record
from lab.hosts.machine import cgroup
from lab.hosts.machine.chassis import BOOTED, CONSOLE, INIT, POWER, assemble, console
from lab.hosts.virtual import layer, session
from lab.hosts.world import SWITCH, Machine, Places, machine_of

DISK: Final = "3G"
"""As the machine sees it. It lies in memory, and takes there what is written on it."""

MEMORY: Final = "1G"
PROCESSORS: Final = 2

BOOT_PATIENCE: Final = 240.0
"""Seconds from power to the end of the boot: 20 on an idle machine."""

QEMU: Final = (
    "/usr/bin/qemu-system-x86_64",
    *("-accel", "tcg,thread=multi", "-machine", "q35", "-nodefaults", "-no-user-config", "-no-reboot"),
    # An ordinary server's of 2008. Newer instructions cost an emulator more than they spare.
    *("-cpu", "Nehalem", "-smp", str(PROCESSORS), "-m", MEMORY, "-display", "none"),
    *("-device", "virtio-rng-pci"),
)
KERNEL: Final = (
    "root=/dev/vda rw console=ttyS0 net.ifnames=0 panic=-1 quiet mitigations=off cryptomgr.notests"
)

CABLE: Final = "/etc/lab/cable"
NOTES: Final = "/dev/ttyS1"
READY, REBOOT = "ready", "reboot"
"""What the machine says there: at the end of the boot, and before it ends to be switched on again."""

FILES: Final = {
    "etc/systemd/system/lab-cable.service": f"""[Unit]
Description=The cable to the lab's switch
DefaultDependencies=no
Wants=network.target
Before=network.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/sbin/ip -batch {CABLE}
""",
    "etc/systemd/system/lab-ready.service": f"""[Unit]
Description=Tells the lab that the boot is done
[Service]
ExecStart=/bin/sh -c 'systemctl is-system-running --wait; echo {READY} >{NOTES}'
""",
    "usr/lib/systemd/system-shutdown/lab": f"#!/bin/sh\necho $1 >{NOTES}\n",
    "etc/ssh/sshd_config.d/lab.conf": "UsePAM no\nPrintMotd no\nMaxSessions 32\n",
}
"""What the lab puts into the machine, beside its key and its name."""


def main(lab: str, host: str, flavour: str) -> int:
    if os.fork():
        return 0
    computer = Computer(Places(lab), replace(machine_of(host), tree=flavour))
    if not handshake.stand(computer.stand):
        computer.scrap()
        return 1
    computer.serve()
    return 0


class Computer:
    def __init__(self, places: Places, machine: Machine) -> None:
        self._machine = machine
        self._state = places.host_state(machine.name)
        self._group = cgroup.name(places, machine.name)
        self._switch = places.network(SWITCH)

    def stand(self) -> None:
        """Assembled and booted. Raises OSError or LabError; everything goes with this process then."""
        os.umask(0o022)
        kernel.setns(self._switch, kernel.NEWNET)
        self._disk = make_disk(self._machine, self._state)
        network.attach(self._machine)
        os.mkfifo(self._state / POWER)
        running = self._switch_on()
        if self._follow(running, time.monotonic() + BOOT_PATIENCE) != READY:
            raise LabError(f"{self._machine.name} has not booted:\n{console(self._state)}")
        self._running = running

    def serve(self) -> None:
        while True:
            last = self._follow(self._running, None)
            (self._state / BOOTED).unlink(missing_ok=True)
            self._running.wait()
            if last != REBOOT:
                (self._state / POWER).read_bytes()
            self._running = self._switch_on()

    def scrap(self) -> None:
        cgroup.remove(self._group)

    def _switch_on(self) -> "subprocess.Popen[bytes]":
        name, mac = self._machine.name, network.hardware(self._machine.address)
        boot = ["-kernel", layer.boot_file("vmlinuz"), "-initrd", layer.boot_file("initrd.img")]
        drive = f"file={self._disk},format=raw,if=virtio"
        card = ["-netdev", f"tap,id=cable,ifname={name},script=no,downscript=no"]
        card += ["-device", f"virtio-net-pci,netdev=cable,mac={mac},romfile="]
        lines = {"console": f"file,path={self._state / CONSOLE},append=on", "notes": "stdio,signal=off"}
        serial = []
        for line, end in lines.items():
            serial += ["-chardev", f"{end},id={line}", "-serial", f"chardev:{line}"]
        with (self._state / CONSOLE).open("ab") as complaints:
            running = subprocess.Popen(
                [*QEMU, *map(str, boot), "-append", KERNEL, "-drive", drive, *card, *serial],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=complaints,
                start_new_session=True,
                preexec_fn=partial(cgroup.enter, self._group),
            )
        self._record(INIT, running.pid)
        return running

    def _record(self, file: str, pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile, which is noticed next
            record(self._state / file, pid)

    def _follow(self, running: "subprocess.Popen[bytes]", deadline: float | None) -> str:
        """Write down what it tells: until it has booted if there is a deadline, else until it ends. The last
        thing it said.
        """
        assert running.stdout is not None
        last = ""
        while True:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not select.select([running.stdout], [], [], left)[0]:
                return last
            line = running.stdout.readline()
            if not line:
                return last
            last = line.decode(errors="replace").strip()
            if last == READY:
                self._record(BOOTED, running.pid)
                if deadline is not None:
                    return last


def make_disk(machine: Machine, state: Path) -> Path:
    """A fresh one, with what tells this machine from another."""
    root = assemble(machine, state, layer.layers(), size=DISK)
    for name, text in FILES.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755 if text.startswith("#!") else 0o644)
    wanted = root / "etc/systemd/system/multi-user.target.wants"
    for unit in ("lab-cable", "lab-ready"):
        (wanted / f"{unit}.service").symlink_to(f"/etc/systemd/system/{unit}.service")
    cable = root / CABLE.lstrip("/")
    cable.parent.mkdir()
    cable.write_text(network.host_script(machine))
    session.let_in(state, root, machine.address)
    disk = state / "disk" / "image"
    made = subprocess.run(
        ["/usr/sbin/mke2fs", "-q", "-t", "ext4", "-d", str(root), str(disk), DISK],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        raise LabError(f"mke2fs: {made.stderr.strip()}", hint="lab/setup/setup.sh qemu")
    return disk


if __name__ == "__main__":
    handshake.run(main)
