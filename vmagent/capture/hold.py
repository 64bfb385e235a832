"""``vmagent capture hold``: the one privileged process. Waits for the agent, applies, looks after the
rules, takes them back.

Owns:      when apply and remove run, and the gate ``capture``.
Does not:  read settings: apply runs as a child, so that what it loads (yaml, python-iptables) does not stay
           in memory. It starts without click, grpc and asyncio for the same reason.
"""

import logging
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vmagent.capture import flavour, listening, manifest, privilege, timing, undo, verify
from vmagent.capture.attempt import attempt
from vmagent.capture.neighbours import Neighbours
from vmagent.capture.signals import Stop
from vmagent.capture.watch import SAY_EVERY, Action, Seen, Watch
from vmagent.errors import Misconfigured, Unavailable, VmagentError
from vmagent.runtime import files, logs, readiness
from vmagent.runtime.places import GATES, LEAVING, RUN
from vmagent.runtime.readiness import Readiness
from vmagent.runtime.systemd import OUTSIDE, Systemd

log = logging.getLogger("capture")


BEATS: Final = 4
"""Signs of life in the time that the unit's WatchdogSec grants. That must be longer than a child may take
(attempt.py): who waits for one gives none.
"""

TAKE_BACK_FOR: Final = 30.0
"""Seconds in which a stop tries to take the rules back; less than the unit's TimeoutStopSec."""

RETRY_REMOVAL: Final = 0.5
"""Seconds until rules that could not be taken back, because others hold the lock, are tried again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    directory: Path = manifest.DIRECTORY
    agent: Path = RUN
    gates: tuple[str, ...] = GATES
    apply: tuple[str, ...] = (sys.executable, "-I", "-m", "vmagent", "capture", "apply")


def hold(argv: Sequence[str], systemd: Systemd = OUTSIDE) -> int:
    """Returns the exit status after SIGTERM or SIGINT (0), or at once if it may not or need not run."""
    try:
        options = parse(argv)
        privilege.check("capture hold")
        _only_one(options.directory)
        Holder(options, systemd).run()
    except VmagentError as error:
        log.error("%s%s", error, f" ({error.hint})" if error.hint else "")
        return error.exit_code
    return 0


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """``hold`` with the log on standard output, as the unit wants it."""
    systemd = Systemd.of(environ, os.getpid())
    logs.configure("info", journal=systemd.journal_stream)
    return hold(argv, systemd)


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
    def __init__(self, options: Options, systemd: Systemd) -> None:
        self._options = options
        self._systemd = systemd
        gates = files.directory(options.directory / "gates", mode=0o755)
        self._gate = Readiness("capture", directory=gates)
        self._gate.changed = self._tell
        self._stop = Stop()
        known = manifest.load(options.directory)
        self._watch = Watch(captured=known is not None, now=timing.monotonic())
        self._port = known.outbound_port if known else 0
        self._said_at = timing.monotonic()
        self._beat_at = timing.monotonic()
        self._neighbours = Neighbours(options.directory)
        self._followed = listening.Followed(listening.families(self._port))
        self._obstacle = ""
        """Why no rule could be written, whatever the gates say."""

    def run(self) -> None:
        """What systemd calls started is that this process looks: nothing at boot waits for the mesh."""
        self._systemd.tell("READY=1")
        self._tell()
        self._forget_an_earlier_boot()
        while not self._stop.asked:
            now = timing.monotonic()
            self._beat(now)
            self._neighbours.look(now)
            seen = self._look(now)
            self._say(seen)
            self._gate.publish_again()
            match self._watch.decide(seen):
                case Action.APPLY:
                    self._apply()
                case Action.REMOVE:
                    self._let_go(seen)
                case Action.VERIFY:
                    self._verify()
                case Action.WAIT if self._watch.captured and self._followed.moved(self._port, now):
                    log.info("Envoy listens in other families than it did: the rules follow")
                    self._apply()
                case Action.WAIT:
                    self._stop.wait(self._watch.pause(now))
        self._neighbours.forget()
        if self._stop.stays:
            log.info("leaving: the rules stay for the next process")
            return
        log.info("stopping: taking the rules back")
        self._systemd.tell("STOPPING=1")
        self._gate.close("capture", "capture is stopped")
        self._take_back()
        log.info("traffic goes direct")

    def _take_back(self) -> None:
        """Whatever the tools are busy with: rules that stay behind lead to an Envoy that will be gone."""
        for left in timing.tries(TAKE_BACK_FOR, pause=1.0):
            try:
                undo.remove(self._options.directory)
            except Unavailable as error:
                if not left:
                    raise
                log.warning("cannot take the rules back yet: %s", error)
            else:
                return

    def _tell(self) -> None:
        why = self._gate.waiting.get("capture")
        state = f"nothing is captured: {why}" if why else "traffic goes through Envoy"
        self._systemd.tell(f"STATUS={state}")

    def _beat(self, now: float) -> None:
        if self._systemd.watchdog and now >= self._beat_at:
            self._beat_at = now + self._systemd.watchdog / BEATS
            self._systemd.tell("WATCHDOG=1")

    def _forget_an_earlier_boot(self) -> None:
        """Rules of ours without their manifest, which a reboot takes along: somebody saved them while they
        were in force, and restores them at boot. They would send traffic to an Envoy that is not there yet.
        """
        if self._watch.captured:
            return
        try:
            if undo.remove(self._options.directory).changed:
                log.warning(
                    "rules of ours stood here already, as if restored from a file at boot: taken back"
                )
        except VmagentError as error:
            log.warning("cannot see whether old rules of ours are there: %s", error)

    def _look(self, now: float) -> Seen:
        states = readiness.read(self._options.agent / "gates", self._options.gates)
        waiting = {gate: why for gate, why in states.items() if why != readiness.OPEN}
        locked = files.locked(self._options.agent / readiness.LOCK)
        # One that waits for its configuration answers no name, whatever an earlier Envoy does. One that
        # cannot even say so, since its disk is full, gets the benefit of the doubt.
        agent = locked and waiting.get("config", readiness.STARTING) == readiness.STARTING
        ready = agent and "envoy" not in waiting
        envoy = ready or not self._watch.captured or listening.accepts(self._port)
        leaving = locked and os.path.lexists(self._options.agent / LEAVING)
        return Seen(now=now, waiting=waiting, agent=agent, envoy=envoy, leaving=leaving)

    def _say(self, seen: Seen) -> None:
        """What we wait for, in the gate at once and in the log every 15 s. What stands in the way for good
        goes before what will pass.
        """
        if self._watch.captured or self._watch.is_dismissed:
            return
        obstacle = flavour.obstacle()
        self._obstacle = f"{obstacle}; {obstacle.hint}" if obstacle else ""
        if not seen.waiting:
            return
        gate, why = next(iter(seen.waiting.items()))
        self._gate_waits(self._obstacle or f"{gate}: {why}")
        if seen.now - self._said_at >= SAY_EVERY:
            self._said_at = seen.now
            log.info("waiting for %s", ", ".join(f"{gate} ({why})" for gate, why in seen.waiting.items()))

    def _gate_waits(self, why: str) -> None:
        self._gate.close("capture", why)

    def _apply(self) -> None:
        families = listening.families(self._port)
        failure = attempt(self._options.apply)
        now = timing.monotonic()
        known = manifest.load(self._options.directory)
        if failure is not None:
            delay = self._watch.failed(now)
            log.error("capture apply failed, next try in %.0f s: %s", delay, failure.private)
            if known is not None and known.state == "applied":
                return  # nothing was touched
            if known is None:
                self._watch.removed(now)
            else:
                self._watch.interrupted()
            self._gate_waits(self._obstacle or failure.public)
            return
        self._port = known.outbound_port if known else 0
        self._followed.write(families or listening.families(self._port))
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

    def _let_go(self, seen: Seen) -> None:
        """While the agent only stops nothing is amiss."""
        in_part, level, why = self._watch.in_part, logging.WARNING, "no agent answers names"
        if seen.leaving:
            level, why = logging.INFO, "the agent is leaving"
        elif in_part:
            why = "only a part of the rules may have been written"
        elif not seen.envoy:
            why = "Envoy takes no connections"
        log.log(level, "%s: taking the rules back, traffic goes direct", why)
        try:
            undo.remove(self._options.directory)
        except Unavailable as error:
            log.warning("cannot take the rules back yet: %s", error)
            self._stop.wait(RETRY_REMOVAL)
            return
        self._watch.removed(timing.monotonic())
        if seen.leaving or not in_part:  # else it says why apply failed
            self._gate_waits("the agent is leaving" if seen.leaving else "the agent or Envoy is not running")
