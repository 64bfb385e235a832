"""Where a story is played: somebody types commands on the lab's hosts and looks at what they answer.

Owns:      running a command line as an operator would type it, showing it, waiting for something to become
           true.
Does not:  know any story (story.py) or how it looks on a terminal (screen.py).
"""

import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from lab.hosts.lab import Lab
from lab.hosts.services import RESOURCES, Service

SCENARIO: Final = Path(__file__).resolve().parents[1] / "scenarios" / "01-vm-joins-the-mesh"

DESK: Final = "/tmp"
"""Where the operator works on each host; fresh and private there."""

POLL: Final = 0.1

Show = Callable[[str, str], None]
"""Takes what kind of line it is (``command``, ``output`` or ``note``) and the line."""


class Failed(Exception):
    """A step's claim is not true. The message is the reason, for the person who reads the cross."""


def expect(claim: bool, why: str) -> None:
    if not claim:
        raise Failed(why)


def edited(text: str, edits: Mapping[str, str]) -> str:
    """All edits at once: what one puts in is not found by the next."""
    pattern = "|".join(rf"{re.escape(old)}\b" for old in edits)
    return re.sub(pattern, lambda found: edits[found[0]], text)


class Stage:
    """``services`` holds what was started, by name; a step may stop one and start it again.
    ``istio_filters``: the control plane sends Istio's own extensions of Envoy, as an ordinary istiod does.
    """

    def __init__(self, lab: Lab, show: Show, *, istio_filters: bool = False) -> None:
        self.lab = lab
        self.istio_filters = istio_filters
        self.services: dict[str, Service] = {}
        self.kept: dict[str, str] = {}
        """What an earlier step saw and a later one compares with."""
        self._show = show

    def note(self, text: str) -> None:
        self._show("note", text)

    def type(self, host: str, command: str, *, check: bool = True, lines: int = 12) -> str:
        """One command line in the host's shell; what it prints is shown, ``lines`` of it, and returned."""
        self._show("command", f"{host}# {command}")
        return self._told(self._run(host, command), f"{host}# {command}", check=check, lines=lines)

    def quietly(self, host: str, command: str) -> str:
        """What a step looks up without showing it. An exit status other than 0 is no failure."""
        return self._run(host, command).stdout

    def mesh(self, command: str, *, check: bool = True, lines: int = 12, since: str = "") -> str:
        """One ``lab`` command, which is to this control plane what kubectl is to Kubernetes.

        ``since``: only from the line on that begins so.
        """
        self._show("command", f"$ lab {command}" + (f" | sed -n '/^{since}/,$p'" if since else ""))
        done = self._kubectl(command)
        if since:
            done.stdout = done.stdout[max(0, done.stdout.find(f"\n{since}") + 1) :]
        return self._told(done, f"lab {command}", check=check, lines=lines)

    def mesh_with(self, file: str, edits: Mapping[str, str]) -> None:
        """Apply a file of the scenario with some of its text replaced, as an operator who edits it does."""
        told = ", ".join(f"{old} -> {new}" for old, new in edits.items() if old != new)
        self.note(f"{file}, edited: {told}" if told else f"{file} as it is")
        self._show("command", f"$ lab apply -f {file}")
        text = edited((SCENARIO / file).read_text(), edits)
        self._told(self._kubectl("apply -f -", text), f"lab apply -f {file}", check=True, lines=4)

    def edit_resource(self, name: str, edits: Mapping[str, str]) -> None:
        """Change a resource where the control plane reads it, which works while it is away."""
        istiod = self.lab.host("istiod")
        paths = self.quietly("istiod", f"grep -l 'name: {name}$' {RESOURCES}/*").split()
        expect(len(paths) == 1, f"expected one file with {name}, found {paths}")
        istiod.write(paths[0], edited(istiod.read(paths[0]), edits))

    def mesh_quietly(self, command: str) -> str:
        return self._kubectl(command).stdout

    def until(self, what: str, true: Callable[[], bool], *, within: float) -> float:
        """Wait until ``true()``; how long that took, in seconds. Failed after ``within`` seconds."""
        began = time.monotonic()
        while not true():
            if time.monotonic() - began > within:
                raise Failed(f"{what}: not within {within:g} s")
            time.sleep(POLL)
        return time.monotonic() - began

    def carry(self, directory: str, source: str, target: str) -> None:
        """The operator copies a directory of files from one host's desk to another's."""
        self._show("note", f"the files travel: {source}:{DESK}/{directory} -> {target}:{DESK}/{directory}")
        there, here = self.lab.host(target), self.lab.host(source)
        for name in here.run(["ls", f"{DESK}/{directory}"]).stdout.split():
            there.write(f"{DESK}/{directory}/{name}", here.read(f"{DESK}/{directory}/{name}"), mode=0o600)

    def stop(self, name: str) -> None:
        """SIGTERM, as systemd sends it, and wait."""
        self.services.pop(name).stop()

    def _run(self, host: str, command: str) -> subprocess.CompletedProcess[str]:
        return self.lab.host(host).run(["bash", "-c", command], check=False, cwd=DESK)

    def _kubectl(self, command: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        argv = [str(Path(sys.executable).with_name("lab")), "--name", self.lab.name, *shlex.split(command)]
        return subprocess.run(
            argv, cwd=SCENARIO, input=text, capture_output=True, text=True, timeout=60, check=False
        )

    def _told(self, done: subprocess.CompletedProcess[str], command: str, *, check: bool, lines: int) -> str:
        told = (done.stdout + done.stderr).rstrip("\n").splitlines()
        for line in told[:lines]:
            self._show("output", line)
        if len(told) > lines:
            self._show("output", f"… {len(told) - lines} more lines")
        if check and done.returncode != 0:
            last = told[-1] if told else "no output"
            raise Failed(f"`{command}` ended with status {done.returncode}: {last}")
        return done.stdout
