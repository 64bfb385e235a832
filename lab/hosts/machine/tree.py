"""Debian trees that machines boot, made once by debootstrap and kept below .build.

    python -m lab.hosts.machine.tree        makes them; quick where they are there

Owns:      what is installed on a fresh machine, and the layers: one base, and one layer over it per flavour.
Does not:  know what a machine is called or runs.
Surprise:  there is no Python in the trees that the agent is installed on, and none has both iptables and
           nftables: what the package does not bring along is missed there.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from lab.hosts import kernel
from lab.hosts.errors import LabError
from lab.hosts.world import ROOT

TREES: Final = ROOT / ".build" / "trees"
SUITE: Final = "bookworm"

BASE: Final = (
    # What a Debian 12 or Ubuntu server has.
    "systemd", "systemd-sysv", "systemd-resolved", "dbus", "iproute2", "procps", "sudo",
    # What the story types, and the documents' application.
    "curl", "iputils-ping", "bind9-dnsutils", "nginx-light",
)  # fmt: skip

FLAVOURS: Final = {
    "iptables": ("iptables",),
    "nftables": ("nftables",),
    "controlplane": ("python3", "dnsmasq-base"),
}

_PREPARE: Final = """
# Every machine has its own.
rm -f /etc/machine-id /etc/hostname
# The application is started by whoever tells the story.
systemctl --quiet disable nginx.service
# A machine of the lab is there for minutes, be they around midnight: nothing happens in the background.
systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer
systemctl --quiet mask e2scrub_all.timer fstrim.timer
"""
_CLEAN: Final = (
    "rm -rf /var/cache/apt/*.bin /var/cache/apt/archives/*.deb /var/lib/apt/lists/* /var/log/*.log"
)

_DONE: Final = "done"


def home() -> Path:
    """Where the trees are that this list of packages makes."""
    made_from = repr((SUITE, BASE, FLAVOURS, _PREPARE, _CLEAN))
    return TREES / hashlib.sha256(made_from.encode()).hexdigest()[:12]


def layers(flavour: str) -> tuple[Path, ...]:
    """Directories to lay over each other, uppermost first. Raises LabError if they are not there."""
    if flavour not in FLAVOURS:
        raise LabError(f"there is no tree {flavour!r}", hint=f"one of: {', '.join(FLAVOURS)}")
    if not (home() / _DONE).exists():
        raise LabError("the trees that machines boot from are not there", hint="lab/setup/setup.sh machines")
    return home() / flavour, home() / "base"


def make() -> None:
    """Raises LabError with the end of what failed. What was half made is made again."""
    if (home() / _DONE).exists():
        return
    print("    debootstrap, a base and three flavours (270 MB)", flush=True)
    kernel.private_mounts()
    os.umask(0o022)
    shutil.rmtree(TREES, ignore_errors=True)
    base = home() / "base"
    base.parent.mkdir(parents=True)
    _run(["debootstrap", "--variant=minbase", f"--include={','.join(BASE)}", SUITE, str(base)])
    _inside(base, _PREPARE)
    for flavour, packages in FLAVOURS.items():
        install((base,), home() / flavour, packages)
    _inside(base, _CLEAN)
    (home() / _DONE).touch()


def install(lower: Sequence[Path], layer: Path, packages: Sequence[str], *, before: str = "") -> None:
    """What these packages add to the layers ``lower``, in ``layer``; ``before`` is a script for the tree."""
    root, work = layer.with_name("root"), layer.with_name("work")
    for directory in (root, work, layer):
        directory.mkdir()
    below = ":".join(map(str, lower))
    kernel.mount(
        "lab", str(root), kind="overlay", options=f"lowerdir={below},upperdir={layer},workdir={work}"
    )
    install = f"apt-get install --yes --no-install-recommends {' '.join(packages)}"
    _inside(root, f"export DEBIAN_FRONTEND=noninteractive; {before}\n{install}; {_CLEAN}")
    kernel.umount(str(root))
    root.rmdir()
    shutil.rmtree(work)


def _inside(root: Path, script: str) -> None:
    """As root of that tree, with the machine's own way to the network and to name servers."""
    mounts = {"proc": root / "proc", "dev": root / "dev", "resolv": root / "etc" / "resolv.conf"}
    mounts["resolv"].unlink(missing_ok=True)
    mounts["resolv"].touch()
    kernel.mount("proc", str(mounts["proc"]), kind="proc")
    kernel.mount("/dev", str(mounts["dev"]), flags=kernel.BIND)
    kernel.mount("/etc/resolv.conf", str(mounts["resolv"]), flags=kernel.BIND)
    try:
        _run(["chroot", str(root), "sh", "-ec", script])
    finally:
        for path in mounts.values():
            kernel.umount(str(path))
        mounts["resolv"].unlink(missing_ok=True)


def _run(command: list[str]) -> None:
    environment = {**os.environ, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=environment, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise LabError(f"{' '.join(command)[:200]}: exit status {done.returncode}: {done.stdout[-2000:]}")


if __name__ == "__main__":
    try:
        make()
    except (LabError, OSError) as error:
        sys.exit(f"tree: {error}")
