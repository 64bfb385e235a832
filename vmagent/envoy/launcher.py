"""A program of its own, which ends by becoming Envoy: a child of the machine's first process, not of the
agent.

Envoy with hot restart tells the kernel to end it together with its parent (prctl(2), PR_SET_PDEATHSIG). One
that is to outlive its agent must not have the agent for a parent, nor anybody who may be killed.

Owns:      the two forks, and the memory pressure at which the kernel takes Envoy.
Does not:  start before the agent has written down who it is: an Envoy that nobody knows of would hold its
           ports for ever.
Surprise:  loaded by its path, with nothing but the standard library: it costs 10 ms of each start.
"""

import contextlib
import os
import socket
import sys
from pathlib import Path
from typing import Final

GO: Final = b"go"
"""What the agent says when it knows the process, and the process has its new parent."""

OOM_SCORE: Final = -300
"""Thousandths of the machine's memory that Envoy may have above others before the kernel takes it first: its
end costs connections. Not more: it may be the one that leaks. The unit allows as much (OOMScoreAdjust=).
"""


def main(link: socket.socket, argv: list[str]) -> None:
    """``link`` hears the pid, says GO, and hears why the program could not be started, if so."""
    environment = dict(_initial_environment())
    if os.fork():
        os._exit(0)
    os.setsid()
    link.send(str(os.getpid()).encode())
    if link.recv(len(GO)) != GO:
        os._exit(1)
    with contextlib.suppress(OSError):  # outside of the unit nobody allows it
        Path("/proc/self/oom_score_adj").write_text(str(OOM_SCORE))
    try:
        os.execve(argv[0], argv, environment)
    except OSError as why:
        link.send(f"{why.errno} {why.filename or argv[0]}".encode())
        os._exit(1)


def _initial_environment() -> list[tuple[bytes, bytes]]:
    """As it was handed to us: the interpreter adds LC_CTYPE to its own."""
    entries = Path("/proc/self/environ").read_bytes().split(b"\0")
    return [(name, value) for name, equals, value in (each.partition(b"=") for each in entries) if equals]


if __name__ == "__main__":
    end = socket.socket(fileno=int(sys.argv[1]))
    end.set_inheritable(False)
    main(end, sys.argv[2:])
