"""``vmagent capture hold``: the one privileged process. Waits for the agent, applies, looks after the
rules, takes them back.

Owns:      when apply and remove run, and the gate ``capture``.
Does not:  read settings: apply runs as a child, so that what it loads (yaml, python-iptables) does not stay
           in memory. It starts without click, grpc and asyncio for the same reason.
"""

import logging
import os
import select
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vmagent.capture import manifest, privilege, timing, undo, verify
from vmagent.capture.watch import SAY_EVERY, Action, Seen, Watch
from vmagent.errors import Misconfigured, Refused, Unavailable, VmagentError
from vmagent.runtime import files, logs, readiness
from vmagent.runtime.places import GATES, RUN
from vmagent.runtime.readiness import Readiness

log = logging.getLogger("capture")


APPLY_PATIENCE: Final = 90.0
"""Seconds for the child: it may wait 30 s each for the change lock and the xtables lock, and then has work
to do.
"""

MEANINGS: Final = {
    Misconfigured.exit_code: "exit status 78: something must be edited",
    Unavailable.exit_code: "exit status 75: something is missing or busy",
    Refused.exit_code: "exit status 77: not permitted",
}
"""Of apply's exit statuses, for those who may not read its words."""

CONNECT: Final = 0.5
"""Seconds for Envoy to accept on loopback: the kernel accepts for a process that merely is slow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    directory: Path = manifest.DIRECTORY
    agent: Path = RUN
    gates: tuple[str, ...] = GATES
    apply: tuple[str, ...] = (sys.executable, "-I", "-m", "vmagent", "capture", "apply")


def hold(argv: Sequence[str]) -> int:
    """Returns the exit status after SIGTERM or SIGINT (0), or at once if it may not or need not run."""
    try:
        options = parse(argv)
        privilege.check("capture hold")
        _only_one(options.directory)
        Holder(options).run()
    except VmagentError as error:
        log.error("%s%s", error, f" ({error.hint})" if error.hint else "")
        return error.exit_code
    return 0


def main(argv: Sequence[str]) -> int:
    """``hold`` with the log on standard output, as the unit wants it."""
    logs.configure("info")
    return hold(argv)


def parse(argv: Sequence[str]) -> Options:
    """``--directory=``, ``--agent=``, ``--gates=a,b``, ``--apply='command line'``."""
    values: dict[str, str] = {}
    for word in argv:
        name, equals, value = word.partition("=")
        if name not in ("--directory", "--agent", "--gates", "--apply") or not equals or not value:
            raise Misconfigured(
                f"capture hold does not know {word!r}",
                hint="it takes --directory=DIR --agent=DIR --gates=A,B --apply=COMMAND",
            )
        values[name] = value
    default = Options()
    return Options(
        directory=Path(values.get("--directory", default.directory)),
        agent=Path(values.get("--agent", default.agent)),
        gates=tuple(values["--gates"].split(",")) if "--gates" in values else default.gates,
        apply=tuple(shlex.split(values["--apply"])) if "--apply" in values else default.apply,
    )


def _only_one(directory: Path) -> None:
    lock = files.Lock(files.directory(directory, mode=0o755) / readiness.LOCK)
    holder = lock.acquire()
    if holder is not None:
        raise Unavailable(f"capture is already held by process {holder}")


class Holder:
    def __init__(self, options: Options) -> None:
        self._options = options
        gates = files.directory(options.directory / "gates", mode=0o755)
        self._gate = Readiness("capture", directory=gates)
        self._stop = _Stop()
        known = manifest.load(options.directory)
        self._watch = Watch(captured=known is not None, now=timing.monotonic())
        self._port = known.outbound_port if known else 0
        self._said_at = timing.monotonic()

    def run(self) -> None:
        while not self._stop.asked:
            now = timing.monotonic()
            seen = self._look(now)
            self._say(seen)
            self._gate.publish_again()
            match self._watch.decide(seen):
                case Action.APPLY:
                    self._apply()
                case Action.REMOVE:
                    self._fail_open()
                case Action.VERIFY:
                    self._verify()
                case Action.WAIT:
                    self._stop.wait(self._watch.pause(now))
        log.info("stopping: taking the rules back")
        self._gate.close("capture", "capture is stopped")
        undo.remove(self._options.directory)
        log.info("traffic goes direct")

    def _look(self, now: float) -> Seen:
        states = readiness.read(self._options.agent / "gates", self._options.gates)
        waiting = {gate: why for gate, why in states.items() if why != readiness.OPEN}
        locked = files.locked(self._options.agent / readiness.LOCK)
        # One that still waits for its configuration answers no name, whatever an earlier Envoy does.
        agent = locked and "config" not in waiting
        envoy = agent or not self._watch.captured or (not locked and _accepts(self._port))
        return Seen(now=now, waiting=waiting, agent=agent, envoy=envoy)

    def _say(self, seen: Seen) -> None:
        """What we wait for, in the gate at once and in the log every 15 s."""
        if self._watch.captured or not seen.waiting or self._watch.is_dismissed:
            return
        gate, why = next(iter(seen.waiting.items()))
        self._gate_waits(f"{gate}: {why}")
        if seen.now - self._said_at >= SAY_EVERY:
            self._said_at = seen.now
            log.info("waiting for %s", ", ".join(f"{gate} ({why})" for gate, why in seen.waiting.items()))

    def _gate_waits(self, why: str) -> None:
        self._gate.close("capture", why)

    def _apply(self) -> None:
        failure = _run_apply(self._options.apply)
        now = timing.monotonic()
        known = manifest.load(self._options.directory)
        if failure is not None:
            delay = self._watch.failed(now)
            log.error("capture apply failed, next try in %.0f s: %s", delay, failure.private)
            if known is None:
                self._watch.removed(now)
                self._gate_waits(failure.public)
            return
        self._port = known.outbound_port if known else 0
        self._watch.applied(now)
        self._gate.open("capture")

    def _verify(self) -> None:
        try:
            verdict = verify.verify(self._options.directory)
        except Unavailable as error:
            log.warning("cannot look at the rules: %s", error)
            return
        if verdict.manifest is None and self._port:  # without a port apply had nothing to write
            log.warning(
                "the rules were removed by hand: nothing is captured until istio-capture is restarted"
            )
            self._watch.dismissed(timing.monotonic())
            self._gate_waits("removed by hand; systemctl restart istio-capture captures again")
        elif verdict.drift:
            more = f" (and {len(verdict.drift) - 1} more)" if len(verdict.drift) > 1 else ""
            log.warning("the rules are not as written, writing them again: %s%s", verdict.drift[0], more)
            self._apply()

    def _fail_open(self) -> None:
        log.warning("neither the agent nor Envoy is alive: taking the rules back, traffic goes direct")
        undo.remove(self._options.directory)
        self._watch.removed(timing.monotonic())
        self._gate_waits("the agent is not running")


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Apply reads as root what others wrote, and quotes it: its words are for the log, which is root's. The
    gate, which anybody may read, has our own only.
    """

    public: str
    private: str


def _run_apply(command: Sequence[str]) -> Failure | None:
    """None if it went well."""
    try:
        done = subprocess.run(
            command, stderr=subprocess.PIPE, text=True, errors="replace", timeout=APPLY_PATIENCE, check=False
        )
    except subprocess.TimeoutExpired:
        why = f"capture apply did not finish within {APPLY_PATIENCE:g} s"
        return Failure(public=why, private=why)
    except OSError as error:
        why = f"{command[0]}: {error.strerror}"
        return Failure(public=why, private=why)
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    if done.returncode != 0:
        meaning = MEANINGS.get(done.returncode, f"exit status {done.returncode}")
        public = f"capture apply failed ({meaning}); its log says why: journalctl -u istio-capture"
        return Failure(public=public, private="; ".join(lines[-3:]) or public)
    for line in lines:
        log.info("%s", line)
    return None


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), CONNECT).close()
    except OSError:
        return False
    return True


class _Stop:
    """SIGTERM and SIGINT ask once; what is under way is finished, the rest is bounded."""

    def __init__(self) -> None:
        self.asked = False
        self._reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._heard)

    def _heard(self, number: int, _frame: object) -> None:
        self.asked = True

    def wait(self, seconds: float) -> None:
        if not self.asked:
            select.select([self._reader], [], [], seconds)
