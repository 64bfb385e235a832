"""Finding and ending what a lab left on the machine, whether it was taken down or its starter was killed.

Owns:      how a host's first process is recognised: by its network, which has a name; records may be missing.
Does not:  touch a process outside of the lab's pid namespaces, also if it has entered one of its networks.
"""

import contextlib
import fcntl
import os
import select
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from lab.hosts import kernel
from lab.hosts.errors import LabError
from lab.hosts.world import STATE, Places

INIT: Final = "lab.hosts.init"
CHASSIS: Final = "lab.hosts.machine.chassis"
COMPUTER: Final = "lab.hosts.virtual.computer"
"""The modules that a host's first process runs: of one made of namespaces, of one that boots, of one that
boots a kernel.
"""

PATIENCE: Final = 10.0
"""Seconds for the kernel to end everything in a host once its first process is killed."""


def require_root() -> None:
    if os.geteuid() != 0:
        raise LabError("a lab is made of namespaces, which only root can make", hint="sudo -E ...")


@contextmanager
def alone() -> Iterator[int]:
    """One lab is made or unmade at a time on a machine. The place of all labs goes with the last one.

    Yields the lock's handle, for what is started meanwhile to hold until it can be found by ``processes``.
    """
    while True:
        STATE.mkdir(mode=0o755, exist_ok=True)
        handle = os.open(STATE, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(handle, fcntl.LOCK_EX)
        if STATE.exists() and os.fstat(handle).st_ino == STATE.stat().st_ino:
            break
        os.close(handle)  # whoever we waited for has removed it: begin again with a new one
    try:
        yield handle
    finally:
        with contextlib.suppress(OSError):
            STATE.rmdir()
        os.close(handle)


def processes(places: Places) -> list[int]:
    """Hosts' first processes: number 1 in a pid namespace of their own and in one of the lab's networks. And
    what is known by its command line and by the lab's place, which it sees: what was about to become one when
    its starter was killed, and the metal of a machine. A container's lab of the same name is another one.
    """
    networks = {path.stat().st_ino for path in places.networks if path.exists()}
    entries = [entry for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [int(entry.name) for entry in entries if _is_first(entry, networks) or _is_ours(entry, places)]


def _is_first(entry: Path, networks: set[int]) -> bool:
    try:
        if (entry / "ns" / "net").stat().st_ino not in networks:
            return False
        status = (entry / "status").read_text()
    except OSError:  # it has ended meanwhile
        return False
    numbers = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[1:]
    return len(numbers) > 1 and numbers[-1] == "1"


def _is_ours(entry: Path, places: Places) -> bool:
    try:
        words = (entry / "cmdline").read_text().split("\0")
        if (
            words[1:2] != ["-m"]
            or words[2:3] not in ([INIT], [CHASSIS], [COMPUTER])
            or words[3:4] != [places.lab]
        ):
            return False
        return (entry / "root" / places.state.relative_to("/")).samefile(places.state)
    except OSError:  # it has ended meanwhile, or has no place there
        return False


def end(pid: int) -> None:
    """Returns when the process and everything in its pid namespace is gone."""
    with contextlib.suppress(ProcessLookupError):
        handle = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            if not select.select([handle], [], [], PATIENCE)[0]:
                raise LabError(f"process {pid} does not end after SIGKILL", hint="look at its state in /proc")
        finally:
            os.close(handle)


def forget_networks(networks: Sequence[Path]) -> None:
    """Unmounted and unlinked; what was killed half-way may have left a file that is no mount."""
    for path in networks:
        with contextlib.suppress(OSError):
            kernel.umount(str(path))
        path.unlink(missing_ok=True)
