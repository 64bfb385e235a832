"""Keeps one Envoy alive, says whether it takes traffic, and lets it go gently.

Owns:      the order of things: write, start, watch, start again, drain, end.
Does not:  know what Envoy is told (bootstrap.py), how a process is started (process.py) or asked (admin.py).
Surprise:  a missing binary, a taken port or an Envoy that ends at once never ends the agent: names and
           certificates are served meanwhile, the gate says what to mend, and Envoy is tried again.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from vmagent.envoy.addresses import family
from vmagent.envoy.admin import TIMEOUT, Admin
from vmagent.envoy.arguments import arguments, environment
from vmagent.envoy.bootstrap import left_out
from vmagent.envoy.config import EnvoyConfig
from vmagent.envoy.epitaph import Check, epitaph
from vmagent.envoy.footprint import Footprint
from vmagent.envoy.output import Output
from vmagent.envoy.process import KILL_LIMIT, Child, ProcessId, Streams, check, spawn
from vmagent.envoy.restarts import Restarts
from vmagent.envoy.states import Signal, State, after
from vmagent.errors import Unavailable, VmagentError
from vmagent.runtime import holder
from vmagent.runtime.clock import Clock
from vmagent.runtime.latest import Latest
from vmagent.runtime.lifecycle import Tasks

log = logging.getLogger("envoy")

Spawn = Callable[[Sequence[str], Mapping[str, str], Streams | None], Awaitable[Child]]

QUICK: Final = 0.03
"""Seconds between questions while Envoy starts. It needs about 60 ms, and an answer costs it 1 ms."""
QUICK_FOR: Final = 10.0
"""Seconds; then whatever Envoy waits for is slower than we are."""
WAITING: Final = 0.25
CALM: Final = 1.0
"""Seconds between questions to an Envoy that is ready."""

TERM_PATIENCE: Final = 3.0
"""Seconds between SIGTERM and SIGKILL. Envoy leaves within 50 ms; it has drained before."""
ZERO_LIMIT: Final = 15.0
"""Seconds that a stop waits at most with exit_on_zero. Istio has no bound, and systemd kills it."""
COUNT_EVERY: Final = 0.25
_TOO_LATE: Final = "the agent is leaving"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvoyState:
    state: State
    reason: str
    """Why it takes no traffic, for the gate; empty if it does."""
    pid: int = 0
    restarts: int = 0

    @property
    def ready(self) -> bool:
        return not self.reason


class Supervisor:
    """A Part. ``state`` is where everybody else looks. Making one may raise Misconfigured (``bootstrap``)."""

    name = "envoy"

    def __init__(
        self,
        config: EnvoyConfig,
        *,
        clock: Clock,
        output: Output | None = None,
        restarts: Restarts | None = None,
        spawn: Spawn = spawn,
        check: Check = check,
        admin: Admin | None = None,
    ) -> None:
        self._config = config
        self._clock = clock
        self._output = output
        self._restarts = restarts or Restarts()
        self._spawn = spawn
        self._check = check
        home = family(config.ips, dual_stack=config.dual_stack).localhost
        self._admin = admin or Admin(home, config.ports.admin, advice=config.advice)
        self._footprint = Footprint(config)
        self._child: Child | None = None
        self._argv: Sequence[str] = ()
        self._life = State.STOPPED
        self._stop = asyncio.Event()
        self._epoch = 0
        self._times = 0
        self.state: Latest[EnvoyState] = Latest()
        self.grace = TIMEOUT + self._drain_limit + TERM_PATIENCE + KILL_LIMIT + 1.0

    def follow(self, config: EnvoyConfig) -> None:
        """The next Envoy gets a bootstrap of this; the one that runs stays as it is."""
        self._config = config
        self._footprint = Footprint(config)

    # --- start and watch --------------------------------------------------------------------------------

    async def run(self) -> None:
        for sentence in left_out(self._config):
            log.warning("left out: %s", sentence)
        self._publish("Envoy has not been started")
        with self._output or contextlib.nullcontext():
            while not self._over:
                lived = await self._one_life()
                if not self._over:
                    await self._pause(self._restarts.delay(lived=lived))
            await asyncio.Event().wait()

    async def _one_life(self) -> float:
        """From spawn to exit. Returns the seconds it lived, 0 if it was never born."""
        born = self._clock.monotonic()
        try:
            self._child = child = await self._start()
        except VmagentError as why:
            if not self._over:
                self._turn(Signal.NOT_SPAWNED)
                self._publish(f"{why}; {why.hint}" if why.hint else str(why))
            return 0.0
        async with Tasks() as tasks:
            watch = tasks.start("envoy-readiness", self._watch())
            code = await child.wait()
            watch.cancel()
        lived = self._clock.monotonic() - born
        self._child = None
        expected = self._life is State.DRAINING
        self._turn(Signal.EXITED)
        if expected:
            self._publish("Envoy has ended")
        else:
            await self._mourn(code, lived)
        return lived

    async def _mourn(self, code: int, lived: float) -> None:
        text = await epitaph(self._config, self._argv, code, lived, admin=self._admin, check=self._check)
        log.error("%s", text)
        self._publish(text)

    async def _start(self) -> Child:
        """Raises a VmagentError whose sentence names what is in the way."""
        await self._end_leftover()
        port = self._config.ports.admin
        if await self._admin.listening(port):
            raise await asyncio.to_thread(holder.taken, port, "defaultConfig.proxyAdminPort")
        if self._over:
            raise Unavailable(_TOO_LATE)
        self._footprint.write(self._epoch)
        self._argv = argv = arguments(self._config, epoch=self._epoch, override=self._footprint.override())
        streams = self._output.streams if self._output else None
        child = await self._spawn(argv, environment(self._config), streams)
        if self._over:
            child.kill()
            raise Unavailable(_TOO_LATE)
        log.info("Envoy started\tpid=%d epoch=%d command=%s", child.pid, self._epoch, argv)
        self._times += 1
        self._turn(Signal.SPAWNED)
        self._publish("Envoy is starting", pid=child.pid)
        self._record(child)
        return child

    def _record(self, child: Child) -> None:
        process = ProcessId.of(child.pid)
        try:
            if process is not None:
                self._footprint.record(process)
        except VmagentError as why:
            log.warning("a later agent will not recognise this Envoy: %s", why)

    async def _end_leftover(self) -> None:
        """An agent that was killed left its Envoy behind: it holds our ports and talks to nobody."""
        process = self._footprint.recorded()
        if process is not None and process.alive():
            log.warning("ending the Envoy that an earlier agent left behind\tpid=%d", process.pid)
            if not await process.end(TERM_PATIENCE, self._clock):
                raise Unavailable(
                    f"an earlier Envoy (pid {process.pid}) does not end",
                    hint=f"kill -9 {process.pid} as root",
                )

    async def _watch(self) -> None:
        """Ask again and again: an Envoy that was ready is not ready for ever."""
        since = self._clock.monotonic()
        while True:
            missing = await self._missing()
            if self._life is State.DRAINING:
                return
            if not missing and self._life is not State.READY:
                self._turn(Signal.BECAME_READY)
                log.info("Envoy is ready\tseconds=%.3f", self._clock.monotonic() - since)
            elif missing and self._life is State.READY:
                self._turn(Signal.STOPPED_SERVING)
                since = self._clock.monotonic()
            self._publish(missing, pid=self._child.pid if self._child else 0)
            calm = CALM if not missing else WAITING
            await self._clock.sleep(QUICK if self._hurry(missing, since) else calm)

    def _hurry(self, missing: str, since: float) -> bool:
        return bool(missing) and self._clock.monotonic() - since < QUICK_FOR

    async def _missing(self) -> str:
        try:
            return (await self._admin.facts()).missing
        except Unavailable as why:
            return str(why) if self._life is not State.STARTING else "Envoy is starting"

    async def _pause(self, seconds: float) -> None:
        """The backoff; a stop cuts it short."""
        async with Tasks() as tasks:
            sleep = tasks.start("envoy-backoff", self._clock.sleep(seconds))
            stop = tasks.start("envoy-stop", _heard(self._stop))
            await asyncio.wait((sleep, stop), return_when=asyncio.FIRST_COMPLETED)
            sleep.cancel()
            stop.cancel()
        if self._life is State.BACKOFF:
            self._turn(Signal.RETRY_DUE)

    def reopen_logs(self) -> None:
        """The files that Envoy itself writes, such as an access log of the mesh's choice."""
        if self._child is not None and self._life in (State.READY, State.UNREADY):
            self._child.reopen_logs()

    # --- stop -------------------------------------------------------------------------------------------

    async def drain(self) -> None:
        """Inbound connections are asked to leave and given time; then TERM, then KILL. Files go last."""
        served = self._life in (State.READY, State.UNREADY)
        self._turn(Signal.STOP_ASKED)
        self._stop.set()
        child = self._child
        self._publish("Envoy is leaving", pid=child.pid if child else 0)
        if child is not None:
            try:
                await self._let_go(child, served)
            finally:
                child.kill()  # we may have been cancelled: nothing of ours stays behind
        self._footprint.clear(self._epoch)

    async def _let_go(self, child: Child, served: bool) -> None:
        async with Tasks() as tasks:
            ended = tasks.start("envoy-exit", _ended(child))
            try:
                if served:
                    await self._admin.drain_listeners(inbound_only=self._config.drains_inbound_only)
                    await self._until_quiet(ended)
            except Unavailable as why:
                log.warning("draining is not possible, ending at once: %s", why)
            how = await child.stop(TERM_PATIENCE) if not ended.done() else "itself"
            log.info("Envoy ended by %s", how)
            ended.cancel()

    async def _until_quiet(self, ended: asyncio.Task[None]) -> None:
        """Returns when nobody is connected any more, when the time is over, or when Envoy is gone."""
        begun = self._clock.monotonic()
        least = self._config.timing.minimum_drain if self._config.exit_on_zero else 0.0
        while not ended.done():
            spent = self._clock.monotonic() - begun
            if spent >= self._drain_limit:
                log.info("some connections did not end within %g s", self._drain_limit)
                return
            if spent >= least and await self._admin.active_connections(self._config.ports.envoys) == 0:
                return
            await self._clock.sleep(COUNT_EVERY)

    @property
    def _drain_limit(self) -> float:
        timing = self._config.timing
        return timing.minimum_drain + ZERO_LIMIT if self._config.exit_on_zero else timing.termination_drain

    # --- bookkeeping ------------------------------------------------------------------------------------

    @property
    def _over(self) -> bool:
        """A stop may come at any ``await``."""
        return self._life is State.ENDED

    def _turn(self, signal: Signal) -> None:
        self._life = after(self._life, signal)

    def _publish(self, reason: str, *, pid: int = 0) -> None:
        now = EnvoyState(state=self._life, reason=reason, pid=pid, restarts=max(0, self._times - 1))
        if now != self.state.value:
            self.state.publish(now)


async def _heard(event: asyncio.Event) -> None:
    await event.wait()


async def _ended(child: Child) -> None:
    await child.wait()
