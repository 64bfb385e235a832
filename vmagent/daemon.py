"""One life of ``vmagent proxy``: the lock, the wait for sound files and free ports, the agent, the end.

Surprise: READY=1 goes out before anything of the mesh is there. It says that names resolve and that status
answers; nothing at boot waits for a control plane.
"""

import asyncio
import faulthandler
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vmagent import __version__
from vmagent.config import load, model, placing
from vmagent.config.resolve import Paths
from vmagent.errors import Misconfigured, VmagentError
from vmagent.identity import keys
from vmagent.runtime import again, files, garbage, logs, memory, precedence
from vmagent.runtime.clock import Clock, SystemClock
from vmagent.runtime.lifecycle import Tasks
from vmagent.runtime.places import GATES, LEAVING, RUN
from vmagent.runtime.readiness import LOCK, Readiness
from vmagent.runtime.signals import reopen_on_signals, stop_on_signals, succeed_on_signals
from vmagent.runtime.systemd import Systemd
from vmagent.runtime.waiting import happens
from vmagent.runtime.watchdog import Watchdog
from vmagent.status import document

if TYPE_CHECKING:
    from vmagent.agent import Agent

log = logging.getLogger("agent")


SWITCH_INTERVAL: Final = 0.0005
"""Seconds until a busy thread gives way: ten times sooner than Python's default, so that a name is answered
while the relay takes a large push apart (measured: p99 4 ms).
"""

LOOK_AGAIN: Final = 0.5
"""Seconds between looks at what is missing, wrong or taken: a repair is noticed at once, as people see it."""

PUBLISH_AGAIN: Final = 5.0
"""Seconds between tries to write a gate file for which there was no room."""

REPEAT: Final = 15.0
"""Seconds after which an unchanged wait is logged again: silence must not be ambiguous."""


async def live(paths: Paths, systemd: Systemd, run_dir: Path = RUN, *, role: str = "") -> None:
    """Until SIGTERM. ``role`` is what the command line says, if it does. Raises Misconfigured when another
    agent runs here.
    """
    os.umask(0o077)
    sys.setswitchinterval(SWITCH_INTERVAL)
    memory.tune()
    precedence.give_way()
    faulthandler.enable()  # the watchdog ends a hung agent by SIGABRT: the log shall say where it hung
    _log_as(load.own_here(paths), systemd)
    clock = SystemClock()
    stop = asyncio.Event()
    handover = _Handover(systemd, stop)
    stop_on_signals(stop, stopping=lambda: _each([lambda: systemd.tell("STOPPING=1"), handover.forgo]))
    reopen = [logs.reopen]
    reopen_on_signals(lambda: _each(reopen))
    lock = files.Lock(run_dir / LOCK)
    holder = lock.acquire()
    if holder is not None:
        raise Misconfigured(
            f"another agent (pid {holder}) runs on this machine",
            hint="systemctl status istio-agent shows it; one agent serves the whole machine",
        )
    files.remove(run_dir / LEAVING)
    watchdog = Watchdog(systemd.tell, patience=systemd.watchdog)
    watchdog.start()
    gates = Readiness(*GATES, directory=files.directory(run_dir / "gates", mode=0o755))
    _keep_published(gates)
    succeed_on_signals(leave=handover.leave, renew=handover.renew)
    async with Tasks() as tasks:
        trial = tasks.start("renewal", handover.tried())
        agent = await _begun(paths, role, _Wait(gates, run_dir, clock, systemd), stop, handover.renew)
        if agent is not None:
            handover.agent = agent
            systemd.close_inherited()
            watchdog.pulses = agent.pulses
            reopen.append(agent.reopen_logs)
            gates.open("config")
            await agent.run(stop)
            if handover.forgone:
                await agent.end()
        trial.cancel()
    await keys.end_early()
    handover.finish()


class _Handover:
    """An end that is none: for the next process of the unit, or for this one with the program on disk."""

    def __init__(self, systemd: Systemd, stop: asyncio.Event) -> None:
        self.agent: Agent | None = None
        self._systemd = systemd
        self._stop = stop
        self._asked = asyncio.Event()
        self._sockets: list[tuple[str, int]] | None = None
        self._left = False
        self.forgone = False
        """Whether an end that was to be none became one."""

    def leave(self) -> None:
        if not self._stop.is_set():
            log.info("leaving: Envoy goes on, the next agent takes over")
            self._left = True
            if self.agent is not None:
                self.agent.stay(True)
            self._stop.set()

    def forgo(self) -> None:
        """The end is one after all."""
        self.forgone, self._left, self._sockets = self._left, False, None
        if self.agent is not None:
            self.agent.stay(False)

    def renew(self) -> None:
        self._asked.set()

    async def tried(self) -> None:
        """A program that does not start shall not replace one that runs."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            if why := await again.obstacle():
                log.error("not reloaded, the program on disk does not start: %s", why)
            elif not self._stop.is_set():
                open_ones = self.agent.sockets if self.agent else self._systemd.inherited
                self._sockets = [(name, os.dup(number)) for name, number in open_ones]
                self.leave()

    def finish(self) -> None:
        """Everything has drained: what the interpreter would tidy up keeps the next one waiting."""
        if self._sockets is not None:
            log.info("starting anew in the same process")
            again.become(self._sockets)
        if self._left:
            os._exit(0)


def _log_as(own: model.Agent, systemd: Systemd) -> None:
    logs.configure(own.log_level, journal=systemd.journal_stream, file=own.log_file)


def _each(calls: list[Callable[[], None]]) -> None:
    for call in calls:
        call()


def _keep_published(gates: Readiness) -> None:
    """From now on: a full /run delays what others are told, it does not lose it."""
    gates.publish_again()
    asyncio.get_running_loop().call_later(PUBLISH_AGAIN, _keep_published, gates)


class _Wait:
    """What is said, and where, while there is no agent yet."""

    def __init__(self, gates: Readiness, run_dir: Path, clock: Clock, systemd: Systemd) -> None:
        self.gates = gates
        self.run_dir = run_dir
        self.clock = clock
        self.systemd = systemd
        self._began = clock.now()
        self._said_at = clock.monotonic()

    def because(self, why: VmagentError) -> None:
        sentence = _line(f"{why}; {why.hint}" if why.hint else str(why))
        if self.gates.waiting.get("config") != sentence:
            self._said_at = self.clock.monotonic()
            self.gates.close("config", sentence)
            self._publish()
        elif self.clock.monotonic() - self._said_at > REPEAT:
            self._said_at = self.clock.monotonic()
            log.warning("still not ready: %s", sentence)
        self.systemd.tell(f"READY=1\nSTATUS=not ready: {sentence}")

    def _publish(self) -> None:
        facts = document.Facts(
            version=__version__,
            pid=os.getpid(),
            started=self._began,
            node="",
            gates=self.gates.gates,
        )
        document.write(self.run_dir, facts)


async def _begun(
    paths: Paths, role: str, wait: _Wait, stop: asyncio.Event, renew: Callable[[], None]
) -> "Agent | None":
    """Wait for files that are sound and ports that are free. A file half copied is wrong for a moment, so a
    wrong one is no end either.

    None when asked to stop meanwhile.
    """
    first = True
    while not stop.is_set():
        try:
            loaded = await _placed(load.here(paths, role=role), paths)
            if first:
                await keys.start_early()
                first = False
            if not stop.is_set():  # or there would be an agent that never heard what kind of stop it is
                return _agent(loaded, paths, wait, renew)
        except VmagentError as why:
            wait.because(why)
        await happens(stop, within=LOOK_AGAIN)
    return None


async def _placed(loaded: load.Loaded, paths: Paths) -> load.Loaded:
    """Of several addresses the one from which the control plane is reached comes first."""
    if len(loaded.config.workload.ips) < 2:
        return loaded
    return replace(loaded, config=await placing.here(loaded.config, paths.base))


def _agent(loaded: load.Loaded, paths: Paths, wait: _Wait, renew: Callable[[], None]) -> "Agent":
    with garbage.not_in_here():
        from vmagent.agent import Agent  # half of the start, beside which the child for keys begins

    _log_as(loaded.config.agent, wait.systemd)
    agent = Agent(
        loaded.config,
        wait.gates,
        run_dir=wait.run_dir,
        clock=wait.clock,
        remarks="; ".join(map(str, loaded.unknown)),
        place=lambda config: placing.here(config, paths.base),
        renew=renew,
        systemd=wait.systemd,
    )
    for remark in (*loaded.unknown, *loaded.notes):
        log.warning("%s", remark)
    return agent


def _line(text: str) -> str:
    """Several problems stand on a line each for a person who asked; a gate and the log have one line."""
    first, *more = (line.strip() for line in text.splitlines())
    return f"{first} {' | '.join(more)}" if more else first
