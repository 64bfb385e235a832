"""A program of its own, which ends by becoming Envoy: a child of the machine's first process, not of the
agent.

Envoy with hot restart tells the kernel to end it together with its parent (prctl(2), PR_SET_PDEATHSIG). One
that is to outlive its agent must not have the agent for a parent, nor anybody who may be killed.

Owns:      the two forks, and the memory pressure at which the kernel takes Envoy.
Does not:  start before the agent has written down who it is: an Envoy that nobody knows of would hold its
           ports for ever.
Surprise:  loaded by its path, with as little of the standard library as possible: Envoy waits for it at each
           start, and ``socket``, ``pathlib`` and ``typing`` alone take 20 ms.
"""

import os
import sys

GO = b"go"
"""What the agent says when it knows the process, and the process has its new parent."""

OOM_SCORE = -300
"""Thousandths of the machine's memory that Envoy may have above others before the kernel takes it first: its
end costs connections. Not more: it may be the one that leaks. The unit allows as much (OOMScoreAdjust=).
"""


def main(link: int, argv: list[str]) -> None:
    """``link``, a socket that keeps messages apart, hears pid and birth, says GO, and hears why the program
    could not be started, if so.
    """
    environment = dict(_initial_environment())
    if os.fork():
        os._exit(0)
    os.setsid()
    os.write(link, f"{os.getpid()} {_birth()}".encode())
    if os.read(link, len(GO)) != GO:
        os._exit(1)
    _be_spared()
    try:
        os.execve(argv[0], argv, environment)
    except OSError as why:
        os.write(link, f"{why.errno} {why.filename or argv[0]}".encode())
        os._exit(1)


def _initial_environment() -> list[tuple[bytes, bytes]]:
    """As it was handed to us: the interpreter adds LC_CTYPE to its own."""
    with open("/proc/self/environ", "rb") as file:
        entries = file.read().split(b"\0")
    return [(name, value) for name, equals, value in (each.partition(b"=") for each in entries) if equals]


def _be_spared() -> None:
    """Outside of the unit nobody allows it."""
    try:
        with open("/proc/self/oom_score_adj", "w") as file:
            file.write(str(OOM_SCORE))
    except OSError:
        return


def _birth() -> str:
    """Ticks from boot: field 22 of proc_pid_stat(5), the 20th after the name."""
    with open("/proc/self/stat") as file:
        return file.read().rpartition(")")[2].split()[19]


if __name__ == "__main__":
    end = int(sys.argv[1])
    os.set_inheritable(end, False)
    main(end, sys.argv[2:])
