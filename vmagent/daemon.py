"""One life of ``vmagent proxy``: the lock, the wait for the files, the agent, the end.

Surprise: READY=1 goes out before anything of the mesh is there. It says that names resolve and that status
answers; nothing at boot waits for a control plane.
"""

import asyncio
import contextlib
import logging
import os
from pathlib import Path
from typing import Final

from vmagent.agent import GATES, Agent
from vmagent.config import load
from vmagent.config.resolve import Paths
from vmagent.errors import Misconfigured, VmagentError
from vmagent.runtime import files, logs
from vmagent.runtime.clock import Clock, SystemClock
from vmagent.runtime.notify import notify
from vmagent.runtime.readiness import LOCK, Readiness
from vmagent.runtime.signals import stop_on_signals

log = logging.getLogger("agent")

RUN: Final = Path("/run/istio-agent")

LOOK_AGAIN: Final = 0.5
"""Seconds between looks at files that are missing or wrong: a repair is noticed at once, as a person sees
it.
"""

REPEAT: Final = 15.0
"""Seconds after which an unchanged wait is logged again: silence must not be ambiguous."""


async def live(paths: Paths, run_dir: Path = RUN) -> None:
    """Until SIGTERM. Raises Misconfigured when another agent runs here, or a port is taken."""
    os.umask(0o077)
    logs.configure("info")
    clock = SystemClock()
    stop = stop_on_signals()
    lock = files.Lock(run_dir / LOCK)
    holder = lock.acquire()
    if holder is not None:
        raise Misconfigured(
            f"another agent (pid {holder}) runs on this machine", hint="systemctl status istio-agent"
        )
    gates = Readiness(*GATES, directory=files.directory(run_dir / "gates", mode=0o755))
    loaded = await _configuration(paths, gates, stop, clock)
    if loaded is None:
        return
    logs.configure(loaded.config.agent.log_level)
    for remark in (*loaded.unknown, *loaded.notes):
        log.warning("%s", remark)
    agent = Agent(loaded.config, gates, run_dir=run_dir, clock=clock)
    gates.open("config")
    await agent.run(stop)


async def _configuration(
    paths: Paths, gates: Readiness, stop: asyncio.Event, clock: Clock
) -> load.Loaded | None:
    """Wait for files that are sound. A file half copied is wrong for a moment, so a wrong one is no end
    either.

    None when asked to stop meanwhile.
    """
    said = clock.monotonic()
    while not stop.is_set():
        try:
            return load.here(paths)
        except VmagentError as why:
            sentence = f"{why}; {why.hint}" if why.hint else str(why)
            gates.close("config", sentence)
            if clock.monotonic() - said > REPEAT:
                said = clock.monotonic()
                log.warning("still not ready: %s", sentence)
            notify(f"READY=1\nSTATUS=not ready: {sentence}", address=os.environ.get("NOTIFY_SOCKET"))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), LOOK_AGAIN)
    return None
