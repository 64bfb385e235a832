"""The first process of a host: builds the host around itself, reaps what its children leave, and takes
everything with it when it ends, because the kernel ends a pid namespace with its first process.

    python -m lab.hosts.init LAB HOST       (standard input: a line "go" once the whole lab stands)

Says on standard output ``pid N`` (as the machine knows it), then ``ready`` or ``failed: REASON``. Without
"go", which is what it sees when the starter was killed, it ends, and so does the half-built host.
"""

import os
import signal
import sys
from functools import partial
from pathlib import Path

from lab.hosts import handshake, kernel
from lab.hosts.furnish import furnish
from lab.hosts.world import FAMILIES, Families, Machine, Places, machine_of

EXITS = "exits"
"""File in the host's state directory: a line ``pid status`` for each process that nobody else waits for."""

SIGNALS = {signal.SIGTERM, signal.SIGCHLD}


def main(lab: str, host: str) -> int:
    places = Places(lab)
    families = Families((places.host_state(host) / FAMILIES).read_text())
    machine = machine_of(host).with_families(families)
    kernel.setns(places.network(host), kernel.NEWNET)
    kernel.unshare(kernel.NEWPID | kernel.NEWUTS)
    child = os.fork()
    if child:
        print(f"pid {child}", flush=True)
        return 0
    return _first_process(places, machine)


def _first_process(places: Places, machine: Machine) -> int:
    exits = os.open(
        places.host_state(machine.name) / EXITS, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644
    )
    if not handshake.stand(partial(_build, places, machine)):
        return 1
    while signal.sigwait(SIGNALS) != signal.SIGTERM:
        _reap(exits)
    return 0


def _build(places: Places, machine: Machine) -> None:
    furnish(places, machine)
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)


def _reap(exits: int) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        os.write(exits, f"{pid} {os.waitstatus_to_exitcode(status)}\n".encode())


if __name__ == "__main__":
    if not Path("/proc/self/ns/pid").exists():
        sys.exit("failed: no /proc")
    handshake.run(main)
