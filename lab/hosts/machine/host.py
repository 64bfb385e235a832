"""One machine from outside: all that a host is (../host.py), and its power, its journal, its units.

Owns:      entering it; running something there as systemd runs it; reboot, power-off, power-on, a pulled
           plug.
Does not:  know what a unit is good for.
"""

import itertools
import os
import shlex
import signal
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar, Final

from lab.hosts.errors import LabError
from lab.hosts.host import POLL, Host, environment, recorded
from lab.hosts.leftovers import CHASSIS
from lab.hosts.machine.chassis import BOOT_PATIENCE, BOOTED, POWER, console
from lab.hosts.process import Process, outer_pid

SHUTDOWN_PATIENCE: Final = 100.0
"""Seconds: systemd's own for a service that does not end, and some."""

_EXITED, _KILLED, _DUMPED = "1", "2", "3"
"""ExecMainCode, as waitid(2) has it."""


class SystemdHost(Host):
    boots: ClassVar = True
    first_process: ClassVar = CHASSIS
    stands_within: ClassVar = BOOT_PATIENCE
    SPACES: ClassVar = (*Host.SPACES, "--ipc", "--cgroup")
    _numbers = itertools.count(1)

    @property
    def network(self) -> Path:
        """Another one after each boot."""
        return Path(f"/proc/{self.pid}/ns/net")

    def spawn(
        self,
        argv: Sequence[str],
        *,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
        log: str,
    ) -> Process:
        """A transient unit, which systemd ends at shutdown; what it prints is appended to ``log``."""
        unit = f"lab-{os.getpid()}-{next(self._numbers)}.service"
        output = [f"--property=Standard{stream}=append:{log}" for stream in ("Output", "Error")]
        variables = [f"--setenv={name}={value}" for name, value in environment(user, env).items()]
        run = ["systemd-run", "--quiet", f"--unit={unit}", "--service-type=exec", "--remain-after-exit"]
        self.run(["mkdir", "-p", str(Path(log).parent)])
        # Its exit status is also that of a command which ends at once.
        done = self.run([*run, f"--uid={user or 'root'}", *output, *variables, "--", *argv], check=False)
        if not int(self.show(unit, "ExecMainPID")["ExecMainPID"]):
            raise LabError(f"{self.name}: {shlex.join(argv)}: not started: {done.stderr.strip()}")
        return self.main_process(unit, command=tuple(argv), log=log)

    def main_process(self, unit: str, *, command: tuple[str, ...] = (), log: str = "the journal") -> Process:
        """The one that a unit has now, or had last."""
        inner = int(self.show(unit, "ExecMainPID")["ExecMainPID"])
        return Process(
            host=self.name,
            pid=inner,
            outer=outer_pid(inner, self.pid),
            status=partial(self._exit_status, unit),
            command=command or (unit,),
            log=log,
        )

    def show(self, unit: str, *properties: str) -> dict[str, str]:
        """Properties of a unit, as ``systemctl show`` prints them."""
        wanted = [f"--property={name}" for name in properties]
        told = self.run(["systemctl", "show", *wanted, unit]).stdout
        return dict(line.partition("=")[::2] for line in told.splitlines())

    def state(self) -> str:
        """``running``, or ``degraded`` if a unit has failed; others: systemctl(1)."""
        return self.run(["systemctl", "is-system-running"], check=False).stdout.strip()

    def journal(self, *arguments: str) -> str:
        """What ``journalctl`` prints of it, all that was said until now included."""
        self.run(["journalctl", "--sync"])
        return self.run(["journalctl", "--no-pager", "--quiet", *arguments]).stdout

    def reboot(self) -> None:
        """As an operator does it; returns when it has booted. Its disk stays."""
        before = self.pid
        self.run(["systemctl", "reboot"], check=False)
        self._until_booted(SHUTDOWN_PATIENCE + self.stands_within, unlike=before)

    def power_off(self) -> None:
        """As an operator does it; returns when it is off."""
        self.run(["systemctl", "poweroff"], check=False)
        self._until_off(SHUTDOWN_PATIENCE)

    def pull_plug(self) -> None:
        """Everything in it ends at once. What was written is on the disk."""
        os.kill(self.pid, signal.SIGKILL)
        self._until_off(SHUTDOWN_PATIENCE)

    def power_on(self) -> None:
        """Returns when it has booted. Raises LabError if it is on."""
        if self.up:
            raise LabError(f"machine {self.name} is on")
        deadline = time.monotonic() + self.stands_within
        while not self._press():
            self._not_later_than(deadline, "has no power")
        self._until_booted(self.stands_within)

    def _press(self) -> bool:
        """False as long as nobody watches the button: the last power-off is not over."""
        try:
            button = os.open(self._state / POWER, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return False
        os.write(button, b"on\n")
        os.close(button)
        return True

    def _until_booted(self, patience: float, *, unlike: int = 0) -> None:
        deadline = time.monotonic() + patience
        while (booted := recorded(self._state / BOOTED)) is None or booted == unlike:
            self._not_later_than(deadline, "has not booted")

    def _until_off(self, patience: float) -> None:
        deadline = time.monotonic() + patience
        while self.up or (self._state / BOOTED).exists():
            self._not_later_than(deadline, "is not off")

    def _not_later_than(self, deadline: float, what: str) -> None:
        if time.monotonic() > deadline:
            raise LabError(f"machine {self.name} {what}:\n{console(self._state)}")
        time.sleep(POLL)

    def _exit_status(self, unit: str) -> int | None:
        told = self.show(unit, "ExecMainCode", "ExecMainStatus")
        status = int(told["ExecMainStatus"])
        return {_EXITED: status, _KILLED: -status, _DUMPED: -status}.get(told["ExecMainCode"])
