"""Debian's kernel and SSH, as one more layer over a flavour of machine/tree.py. Made once, below .build.

    python -m lab.hosts.virtual.layer        makes it; quick where it is there

Owns:      what a machine with a kernel of its own has beside those that share this one's.
Does not:  know what a machine is called or runs.
Surprise:  the trees are left as they are: whoever never boots a kernel downloads none.
"""

import hashlib
import os
import shutil
import sys
from pathlib import Path
from typing import Final

from lab.hosts import kernel
from lab.hosts.errors import LabError
from lab.hosts.machine import tree
from lab.hosts.world import ROOT

NAME: Final = "kernel"
"""The tree that a lab is asked for."""

LAYERS: Final = ROOT / ".build" / "kernels"
UNDER: Final = "iptables"
PACKAGES: Final = ("linux-image-cloud-amd64", "tiny-initramfs", "openssh-server")

_BEFORE: Final = """
apt-get update
# Disk and network card by name, and no udev: looking for hardware takes an emulated processor half a minute.
mkdir -p /etc/tiny-initramfs
echo 'AUTO_MODULES=no MICROCODE=no INCLUDE_MODULES=virtio_pci,virtio_blk,virtio_net,virtio_rng' \\
  >/etc/tiny-initramfs/tiny-initramfs.conf
# The machine gets its address as the lab's others do, and nobody sits before it.
systemctl --quiet mask systemd-networkd.service systemd-networkd.socket systemd-networkd-wait-online.service
systemctl --quiet mask getty@tty1.service serial-getty@ttyS0.service systemd-logind.service
# What nobody uses here, and each takes a second.
systemctl --quiet mask modprobe@configfs.service modprobe@dm_mod.service modprobe@drm.service
systemctl --quiet mask modprobe@efi_pstore.service modprobe@fuse.service modprobe@loop.service
systemctl --quiet mask sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount
systemctl --quiet mask sys-fs-fuse-connections.mount dev-hugepages.mount dev-mqueue.mount
systemctl --quiet mask systemd-update-utmp.service systemd-update-utmp-runlevel.service e2scrub_reap.service
"""

_DONE: Final = "done"


def home() -> Path:
    made_from = repr((tree.home().name, UNDER, PACKAGES, _BEFORE))
    return LAYERS / hashlib.sha256(made_from.encode()).hexdigest()[:12]


def layers() -> tuple[Path, ...]:
    """Directories to lay over each other, uppermost first. Raises LabError if they are not there."""
    if not (home() / _DONE).exists():
        raise LabError("the kernel that machines boot is not there", hint="lab/setup/setup.sh qemu")
    return home() / NAME, *tree.layers(UNDER)


def boot_file(name: str) -> Path:
    """``vmlinuz`` or ``initrd.img``, of the kernel in the layer."""
    # The link leads from the root of the tree.
    return home() / NAME / os.readlink(home() / NAME / name)


def make() -> None:
    """Raises LabError with the end of what failed. What was half made is made again."""
    if (home() / _DONE).exists():
        return
    print("    Debian's kernel (30 MB), and a way into the machine", flush=True)
    kernel.private_mounts()
    os.umask(0o022)
    shutil.rmtree(LAYERS, ignore_errors=True)
    home().mkdir(parents=True)
    tree.install(tree.layers(UNDER), home() / NAME, PACKAGES, before=_BEFORE)
    (home() / _DONE).touch()


if __name__ == "__main__":
    try:
        make()
    except (LabError, OSError) as error:
        sys.exit(f"kernel: {error}")
