"""Keeps one Envoy alive, says whether it takes traffic, and lets it go gently.

Owns:      the order of things: adopt or start, watch, start again, drain and end, or leave.
Does not:  know what Envoy is told (bootstrap.py), how it is started (launch.py) or asked (admin.py), or what
           becomes of one that was there before (succession.py).
Surprise:  a missing binary, a taken port or an Envoy that ends at once never ends the agent: names and
           certificates are served meanwhile, the gate says what to mend, and Envoy is tried again.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from vmagent.envoy.addresses import Family, family
from vmagent.envoy.admin import Admin
from vmagent.envoy.arguments import environment
from vmagent.envoy.bootstrap import left_out
from vmagent.envoy.config import EnvoyConfig
from vmagent.envoy.drain import Drain
from vmagent.envoy.epitaph import Check, epitaph
from vmagent.envoy.footprint import Footprint, Record
from vmagent.envoy.launch import Streams, check, spawn
from vmagent.envoy.output import Output
from vmagent.envoy.process import KILL_LIMIT, Child, ProcessId
from vmagent.envoy.restarts import Restarts
from vmagent.envoy.states import Signal, State, after
from vmagent.envoy.succession import TERM_PATIENCE, Heir, Succession
from vmagent.errors import Unavailable, VmagentError
from vmagent.runtime import holder
from vmagent.runtime.clock import Clock
from vmagent.runtime.latest import Latest
from vmagent.runtime.lifecycle import Tasks

log = logging.getLogger("envoy")

Spawn = Callable[
    [Sequence[str], Mapping[str, str], Streams | None, Callable[[ProcessId], None]], Awaitable[Child]
]

QUICK: Final = 0.03
"""Seconds between questions while Envoy starts. It needs about 60 ms, and an answer costs it 1 ms."""
QUICK_FOR: Final = 10.0
"""Seconds; then whatever Envoy waits for is slower than we are."""
WAITING: Final = 0.25
CALM: Final = 1.0
"""Seconds between questions to an Envoy that is ready."""

_MAY_SERVE: Final = (State.READY, State.UNREADY, State.ENDED)
"""The last: it was left to a next agent that does not come."""

_TOO_LATE: Final = "the agent is leaving"
_STARTING: Final = "Envoy is starting"


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
        self._admin = admin or Admin(_family(config).localhost, config.ports.admin, advice=config.advice)
        self._footprint = Footprint(config)
        self._succession = Succession(config, self._footprint, self._admin, check)
        self._child: Child | None = None
        self._parent: Child | None = None
        """The Envoy that ours replaced: ours ends it when it has drained."""
        self._argv: Sequence[str] = ()
        self._epoch = 0
        self._life = State.STOPPED
        self._stop = asyncio.Event()
        self.stays = False
        """What ``drain`` is to do: let Envoy go on, for the next agent."""
        self._times = 0
        self._starting = _STARTING
        """What is said until Envoy answers. After a failure that failure: who asks meanwhile is to see it."""
        self.state: Latest[EnvoyState] = Latest()
        self._drain = Drain(config, self._admin, clock)
        self.grace = self._drain.grace + TERM_PATIENCE + KILL_LIMIT + 1.0

    def follow(self, config: EnvoyConfig) -> bool:
        """The next Envoy gets a bootstrap of this; the one that runs stays as it is. True if that one serves
        in other families of addresses than this says: it needs a successor, and that an agent of its own.
        """
        before, self._config = self._config, config
        self._footprint = Footprint(config)
        self._succession = Succession(config, self._footprint, self._admin, self._check)
        return _family(before) != _family(config)

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
            await child.wait()
            watch.cancel()
        lived = self._clock.monotonic() - born
        self._child = None
        if self._over:
            return lived
        expected = self._life is State.DRAINING
        self._turn(Signal.EXITED)
        if expected:
            self._publish("Envoy has ended")
        else:
            await self._mourn(lived)
        return lived

    async def _mourn(self, lived: float) -> None:
        text = await epitaph(self._config, self._argv, lived, admin=self._admin, check=self._check)
        log.error("%s", text)
        self._starting = text
        self._publish(text)

    async def _start(self) -> Child:
        """Or adopt. Raises a VmagentError whose sentence names what is in the way."""
        heir = await self._succession.heir()
        self._parent, self._epoch = heir.parent, heir.epoch
        if heir.child:
            self._argv, child = (), self._adopted(heir.child, heir.epoch)
        else:
            self._argv = self._succession.argv(heir.epoch)
            child = await self._born(heir)
        if self._over:
            if not self.stays and not heir.child:  # that one is the drain's
                child.kill()
            raise Unavailable(_TOO_LATE)
        self._times += 1
        self._turn(Signal.SPAWNED)
        self._publish(self._starting, pid=child.pid)
        return child

    def _adopted(self, child: Child, epoch: int) -> Child:
        log.info("Envoy of an earlier agent goes on\tpid=%d epoch=%d", child.pid, epoch)
        if self._output:
            self._output.attach(child.pid)
        return child

    async def _born(self, heir: Heir) -> Child:
        port = self._config.ports.admin
        if not heir.parent and await self._admin.listening(port):
            raise await asyncio.to_thread(holder.taken, port, "defaultConfig.proxyAdminPort")
        if self._over:
            raise Unavailable(_TOO_LATE)
        streams = self._output.streams if self._output else None
        record = partial(self._record, heir)
        child = await self._spawn(self._argv, environment(self._config), streams, record)
        log.info("Envoy started\tpid=%d epoch=%d command=%s", child.pid, heir.epoch, self._argv)
        return child

    def _record(self, heir: Heir, process: ProcessId) -> None:
        try:
            parent = ProcessId.of(heir.parent.pid) if heir.parent else None
            self._footprint.record(Record(process, heir.epoch, self._footprint.digest(), parent))
        except VmagentError as why:
            log.warning("a later agent will not recognise this Envoy: %s", why)

    async def _watch(self) -> None:
        """Ask again and again: an Envoy that was ready is not ready for ever."""
        since = self._clock.monotonic()
        while True:
            missing = await self._missing()
            if self._life in (State.DRAINING, State.ENDED):
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
            facts = await self._admin.facts()
        except Unavailable as why:
            return str(why) if self._life is not State.STARTING else self._starting
        if facts.epoch != self._epoch:  # the one that ours replaces
            return self._starting
        self._starting = _STARTING
        return facts.missing

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
        if self.stays:
            self._turn(Signal.LEFT)
            self._stop.set()
            return
        child = self._child or self._succession.left()
        served = self._life in _MAY_SERVE or child is not self._child
        self._turn(Signal.STOP_ASKED)
        self._stop.set()
        self._publish("Envoy is leaving", pid=child.pid if child else 0)
        if child is not None:
            try:
                await self._drain.let_go(child, served=served)
            finally:
                child.kill()  # we may have been cancelled: nothing of ours stays behind
        if self._parent is not None:
            await self._parent.stop(TERM_PATIENCE)
        self._footprint.clear()

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


def _family(config: EnvoyConfig) -> Family:
    return family(config.ips, dual_stack=config.dual_stack)


async def _heard(event: asyncio.Event) -> None:
    await event.wait()
