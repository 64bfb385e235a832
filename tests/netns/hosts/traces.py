"""What a lab leaves on the machine, and what it must not touch there."""

import contextlib
import os
import re
import subprocess
from pathlib import Path

from lab.hosts.world import STATE, Places


def traces(name: str) -> list[str]:
    """Whatever of the lab of this name can still be seen on the machine."""
    places = Places(name)
    found = [str(path) for path in (places.state, *places.networks) if path.exists()]
    found += [
        line for line in Path("/proc/self/mountinfo").read_text().splitlines() if f"vmlab-{name}-" in line
    ]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and entry.name != str(os.getpid()):
            with contextlib.suppress(OSError):  # it has ended meanwhile
                words = (entry / "cmdline").read_text().split("\0")
                if "lab.hosts.init" in words and name in words:
                    found.append(" ".join(words))
                mounts = (entry / "mountinfo").read_text()
                if f"{STATE}/{name}/" in mounts or f"vmlab-{name}-" in mounts:
                    found.append(f"a mount namespace of process {entry.name}")
    return found


def own_machine() -> dict[str, str]:
    """What a lab must not touch, other people's namespaces aside."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    links = subprocess.run(
        ["/usr/sbin/ip", "-o", "address"], capture_output=True, text=True, check=True
    ).stdout
    return {
        "mounts": "\n".join(line for line in mounts if " nsfs " not in line),
        "addresses": re.sub(r"\d+sec", "", links),
        "hosts": Path("/etc/hosts").read_text(),
        "forwarding": Path("/proc/sys/net/ipv4/ip_forward").read_text(),
        "hostname": os.uname().nodename,
    }
