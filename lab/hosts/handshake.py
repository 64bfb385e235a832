"""Between the process that makes a lab and a host's first process: pid, ready or failed, go.

Owns:      both ends of the two pipes. When they break, because the starter was killed, the host ends.
Does not:  know what either of them does in between.
"""

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from typing import NoReturn

from lab.hosts.errors import LabError
from lab.hosts.host import Host
from lab.hosts.world import ROOT

INHERITED = 1024
"""Above every handle that a starter can have passed on."""


class Starter:
    """The starter's end. ``module`` is what the host's first process runs; it is told its arguments."""

    def __init__(self, host: Host, module: str, arguments: list[str], lock: int) -> None:
        self._host = host
        self._told = ""
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            start_new_session=True,
            pass_fds=[lock],
        )

    def wait_until_ready(self, deadline: float) -> None:
        while "ready\n" not in self._told and self._hear(deadline):
            pass
        lines = self._told.splitlines()
        if "ready" not in lines:
            why, _, hint = " ".join(line for line in lines if not line.startswith("pid ")).partition("\t")
            told = why.removeprefix("failed: ") or "its first process ended without a word"
            raise LabError(f"host {self._host.name}: {told}", hint=hint)
        for line in lines:
            if line.startswith("pid "):
                self._host.record(int(line.split()[1]))

    def _hear(self, deadline: float) -> bool:
        """False at the end, which is when nobody holds the other end any more."""
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
            raise LabError(f"host {self._host.name}: not ready in time: {self._told}")
        chunk = os.read(self._process.stdout.fileno(), 65536).decode()
        self._told += chunk
        return bool(chunk)

    def go(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(b"go\n")
        self.close()

    def close(self) -> None:
        """What we started has forked the host's first process and is waited for; that one is nobody's
        child.
        """
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait()


def stand(build: Callable[[], None]) -> bool:
    """The host's end: build it, say how that went, and wait for "go". False: nobody wants it, so end."""
    try:
        build()
    except LabError as error:
        print(f"failed: {error}\t{error.hint}", flush=True)
        return False
    except OSError as error:
        print(f"failed: {error.filename}: {error.strerror}", flush=True)
        return False
    print("ready", flush=True)
    if sys.stdin.readline() != "go\n":
        return False
    _let_go()
    return True


def _let_go() -> None:
    """Nothing of the starter's is held open: not its terminal, not the pipes it reads from."""
    nowhere = os.open("/dev/null", os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    os.close(nowhere)


def run(main: Callable[..., int]) -> NoReturn:
    """``main`` with the words of the command line; it may fork, and both of them end here."""
    # The starter's lock: from now on ``lab down`` finds this process by its command line.
    os.closerange(3, INHERITED)
    # The child must not run the starter's exit handlers or flush its buffers twice.
    os._exit(main(*sys.argv[1:]))
