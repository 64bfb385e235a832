"""The first process of a host: builds the host around itself, reaps what its children leave, and takes
everything with it when it ends, because the kernel ends a pid namespace with its first process.

    python -m lab.hosts.init LAB HOST       (standard input: a line "go" once the whole lab stands)

Says on standard output ``pid N`` (as the machine knows it), then ``ready`` or ``failed: REASON``. Without
"go", which is what it sees when the starter was killed, it ends, and so does the half-built host.
"""

import os
import signal
import sys
from pathlib import Path

from lab.hosts import kernel
from lab.hosts.errors import LabError
from lab.hosts.furnish import furnish
from lab.hosts.world import MACHINES, Machine, Places

EXITS = "exits"
"""File in the host's state directory: a line ``pid status`` for each process that nobody else waits for."""

INHERITED = 1024
"""Above every handle that a starter can have passed on."""


def main(lab: str, host: str) -> int:
    places = Places(lab)
    machine = next(machine for machine in MACHINES if machine.name == host)
    kernel.setns(places.network(host), kernel.NEWNET)
    kernel.unshare(kernel.NEWNS | kernel.NEWPID | kernel.NEWUTS)
    child = os.fork()
    if child:
        print(f"pid {child}", flush=True)
        return 0
    return _first_process(places, machine)


def _first_process(places: Places, machine: Machine) -> int:
    exits = os.open(
        places.host_state(machine.name) / EXITS, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644
    )
    try:
        furnish(places, machine)
    except LabError as error:
        print(f"failed: {error}\t{error.hint}", flush=True)
        return 1
    except OSError as error:
        print(f"failed: {error.filename}: {error.strerror}", flush=True)
        return 1
    signals = {signal.SIGTERM, signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    print("ready", flush=True)
    if sys.stdin.readline() != "go\n":
        return 1
    _let_go()
    while signal.sigwait(signals) != signal.SIGTERM:
        _reap(exits)
    return 0


def _let_go() -> None:
    """Nothing of the starter's is held open: not its terminal, not the pipes it reads from."""
    nowhere = os.open("/dev/null", os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    os.close(nowhere)


def _reap(exits: int) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        os.write(exits, f"{pid} {os.waitstatus_to_exitcode(status)}\n".encode())


def run() -> None:
    if not Path("/proc/self/ns/pid").exists():
        sys.exit("failed: no /proc")
    # The starter's lock: from now on ``lab down`` finds this process by its command line.
    os.closerange(3, INHERITED)
    # The child must not run the starter's exit handlers or flush its buffers twice.
    os._exit(main(*sys.argv[1:]))


if __name__ == "__main__":
    run()
