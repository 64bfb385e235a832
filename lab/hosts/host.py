"""One host from outside: run something there, read and write its files.

Owns:      entering the namespaces, the clean environment, handles of what runs there.
Does not:  know units or services (services.py), build or destroy hosts (lab.py).
Surprise:  files are read and written by a process inside. The kernel's /proc/PID/root looks like a shorter
           way, but an absolute symbolic link below it (/var/run, /etc/istio) leads out of the host.
"""

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, ClassVar, Final

from lab.hosts import sockets
from lab.hosts.errors import LabError
from lab.hosts.leftovers import INIT
from lab.hosts.process import Process, birth, outer_pid, written_down
from lab.hosts.world import Machine, Places

PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

PATIENCE: Final = 60.0
"""Seconds that ``run`` waits unless told otherwise: nothing in a lab may hang a test run."""

_SPAWN: Final = (
    'mkdir -p "${1%/*}" && exec 3>&1 >>"$1" 2>&1 </dev/null && echo $$ >&3 && exec 3>&- && shift && exec "$@"'
)
"""Tells its pid, which the command then keeps."""

POLL: Final = 0.01


class Host:
    boots: ClassVar[bool] = False
    """Whether it has a systemd of its own (machine/host.py)."""

    first_process: ClassVar[str] = INIT
    """The module that its first process runs, or its metal."""

    stands_within: ClassVar[float] = 30.0
    """Seconds to furnish itself, or to boot; it takes less than one on an idle machine."""

    SPACES: ClassVar[tuple[str, ...]] = ("--mount", "--net", "--pid", "--uts")
    """Which namespaces it has of its own, as nsenter's flags."""

    def __init__(self, places: Places, machine: Machine) -> None:
        self.name = machine.name
        self.address = machine.address
        self.hostname = machine.hostname
        self._places = places
        self.addresses = machine.addresses
        self._network = places.network(machine.name)
        self._state = places.host_state(machine.name)

    @property
    def network(self) -> Path:
        """The file that stands for its network namespace."""
        return self._network

    @property
    def pid(self) -> int:
        """The host's first process, as the machine numbers it. Raises LabError if the host is not up."""
        pid = recorded(self._state / "init")
        if pid is None:
            raise LabError(f"host {self.name} is not up", hint="lab up")
        return pid

    @property
    def up(self) -> bool:
        return recorded(self._state / "init") is not None

    def record(self, pid: int) -> None:
        record(self._state / "init", pid)

    def enter(self, argv: Sequence[str], *, user: str | None = None, cwd: str = "/") -> list[str]:
        """The command line that runs ``argv`` there, for exec by somebody who wants its terminal."""
        entry = ["/usr/bin/nsenter", f"--target={self.pid}", *self.SPACES, "--root", f"--wdns={cwd}", "--"]
        return [*entry, *as_user(user), *argv]

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
        """Wait for it. With ``check``, an exit status other than 0 is a LabError that shows what it
        printed. ``input`` is text, or a file of the machine.
        """
        with _opened(input) as stdin:
            process = subprocess.Popen(
                self.enter(argv, user=user, cwd=cwd),
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=environment(user, env),
                start_new_session=True,
            )
        try:
            out, err = process.communicate(input if isinstance(input, str) else None, timeout=timeout)
        except BaseException as why:
            # nsenter does not hand signals down: end the whole session.
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            if isinstance(why, subprocess.TimeoutExpired):
                raise LabError(f"{self.name}: {shlex.join(argv)}: no answer after {timeout:g} s") from None
            raise
        if check and process.returncode != 0:
            told = (err.strip() or out.strip())[-2000:]
            raise LabError(f"{self.name}: {shlex.join(argv)}: exit status {process.returncode}: {told}")
        return subprocess.CompletedProcess(list(argv), process.returncode, out, err)

    def spawn(
        self,
        argv: Sequence[str],
        *,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
        log: str,
    ) -> Process:
        """Start it as a child of the host's first process; what it prints is appended to ``log``, opened by
        root.
        """
        command = ["setsid", "--fork", "sh", "-c", _SPAWN, "sh", log, *as_user(user), *argv]
        done = self.run(command, env=environment(user, env))
        if not done.stdout.strip().isdigit():
            raise LabError(f"{self.name}: {shlex.join(argv)}: not started: {done.stderr.strip()}")
        inner = int(done.stdout)
        return Process(
            host=self.name,
            pid=inner,
            outer=outer_pid(inner, self.pid),
            status=partial(written_down, self._state / "exits", inner),
            command=tuple(argv),
            log=log,
        )

    def read(self, path: str) -> str:
        return self.run(["cat", path]).stdout

    def exists(self, path: str) -> bool:
        return self.run(["test", "-e", path], check=False).returncode == 0

    def write(self, path: str, text: str, *, mode: int = 0o644, owner: str = "root") -> None:
        """A new file with that content, mode and owner from the start; directories above it are made."""
        self._install(text, path, mode, owner)

    def _install(self, content: str | Path, path: str, mode: int, owner: str) -> None:
        command = ["install", "-D", f"--mode={mode:o}", f"--owner={owner}", "/dev/stdin", path]
        self.run(command, input=content)

    def append(self, path: str, text: str) -> None:
        self.run(["sh", "-c", 'cat >>"$1"', "sh", path], input=text)

    def copy_in(self, source: Path, path: str, *, mode: int = 0o644, owner: str = "root") -> None:
        """A file of the machine, or the files of a directory of it (not deeper)."""
        if not source.is_dir():
            self._install(source, path, mode, owner)
            return
        for file in sorted(entry for entry in source.iterdir() if entry.is_file()):
            self._install(file, f"{path}/{file.name}", mode, owner)

    def until_listening(
        self, process: Process, port: int, *, kind: str = "tcp", address: str = "", timeout: float = 10.0
    ) -> None:
        """Wait for ``process`` to open ``port``. Raises LabError with the end of its log if it ends or is
        late.
        """
        deadline = time.monotonic() + timeout
        while not sockets.listens(self.pid, port, kind=kind, address=address):
            if not process.alive or time.monotonic() > deadline:
                what = "did not open" if process.alive else "ended without opening"
                told = self.run(["tail", "-n", "20", process.log], check=False).stdout
                raise LabError(f"{self.name}: {process.command[0]} {what} {kind} port {port}:\n{told}")
            time.sleep(POLL)


@contextmanager
def _opened(input: str | Path | None) -> Iterator[IO[bytes] | int]:
    """What a process gets as its standard input."""
    if isinstance(input, Path):
        with input.open("rb") as file:
            yield file
    else:
        yield subprocess.DEVNULL if input is None else subprocess.PIPE


def environment(user: str | None, more: Mapping[str, str] | None) -> dict[str, str]:
    """What a process in a host sees: nothing of ours."""
    home = {"HOME": "/root", "USER": "root", "LOGNAME": "root"}
    if user is not None:
        home = {"HOME": "/", "USER": user, "LOGNAME": user}
    return {"PATH": PATH, "LANG": "C.UTF-8", **home, **(more or {})}


def as_user(user: str | None) -> list[str]:
    """By name, looked up in the host: its users are not the machine's."""
    if user is None or user == "root":
        return []
    lookup = 'g=$(id -g "$1") && u=$1 && shift && exec setpriv --reuid "$u" --regid "$g" --init-groups "$@"'
    return ["sh", "-c", lookup, "sh", user]


def record(path: Path, pid: int) -> None:
    """In one step: whoever reads meanwhile sees the old one or the new one."""
    half = path.with_name(f"{path.name}.new")
    half.write_text(f"{pid} {birth(pid)}\n")
    half.rename(path)


def recorded(path: Path) -> int | None:
    """The pid in the file, if it still is the process that was meant."""
    try:
        pid, born = path.read_text().split()
        return int(pid) if birth(int(pid)) == int(born) else None
    except (FileNotFoundError, ProcessLookupError, ValueError):
        return None
