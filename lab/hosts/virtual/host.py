"""One machine with a kernel of its own from outside: what any that boots is (../machine/host.py), over SSH.

Owns:      entering it, and processes there that have no number here.
Does not:  see its network or its files from here: what is asked, its programs answer.
"""

import subprocess
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

from lab.hosts.errors import LabError
from lab.hosts.host import PATH, PATIENCE, as_user
from lab.hosts.leftovers import COMPUTER
from lab.hosts.machine.host import SystemdHost
from lab.hosts.process import Process
from lab.hosts.virtual import session
from lab.hosts.virtual.computer import BOOT_PATIENCE


class VirtualHost(SystemdHost):
    first_process: ClassVar = COMPUTER
    stands_within: ClassVar = BOOT_PATIENCE

    @property
    def network(self) -> Path:
        raise LabError(f"the network of {self.name} is another kernel's")

    def enter(self, argv: Sequence[str], *, user: str | None = None, cwd: str = "/") -> list[str]:
        if not self.up:
            raise LabError(f"host {self.name} is not up", hint="lab up")
        clean = ["env", "-i", f"--chdir={cwd}", f"PATH={PATH}", "LANG=C.UTF-8"]
        return session.command(self._places, self._state, self.address, [*clean, *as_user(user), *argv])

    def run(
        self,
        argv: Sequence[str],
        *,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str = "/",
        input: str | Path | None = None,
        check: bool = True,
        timeout: float = PATIENCE,
    ) -> subprocess.CompletedProcess[str]:
        if env:
            argv = ["env", *(f"{name}={value}" for name, value in env.items()), *argv]
        return super().run(argv, user=user, cwd=cwd, input=input, check=check, timeout=timeout)

    def main_process(self, unit: str, *, command: tuple[str, ...] = (), log: str = "the journal") -> Process:
        """Its number there, and how it ended; systemd alone can signal it."""
        return Process(
            host=self.name,
            pid=int(self.show(unit, "ExecMainPID")["ExecMainPID"]),
            outer=None,
            status=partial(self._exit_status, unit),
            command=command or (unit,),
            log=log,
        )
