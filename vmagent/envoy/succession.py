"""What becomes of an Envoy that an earlier agent left behind.

Owns:      whether it stays, is replaced by one that takes its sockets over (hot restart), or is ended.
Does not:  start or watch one (supervisor.py).
Surprise:  an Envoy that serves is never given up for one that does not start: the new program and the new
           files are tried beside it first, and if the new one ends at once all the same, the old one goes on.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vmagent.envoy import complaint
from vmagent.envoy.admin import Admin
from vmagent.envoy.arguments import arguments, base_id, environment
from vmagent.envoy.config import EnvoyConfig
from vmagent.envoy.epitaph import Check
from vmagent.envoy.footprint import Footprint, Record
from vmagent.envoy.process import Child, ProcessId, Running
from vmagent.errors import Misconfigured, Unavailable, VmagentError

log = logging.getLogger("envoy")

TERM_PATIENCE: Final = 3.0
"""Seconds between SIGTERM and SIGKILL. Envoy leaves within 50 ms; it has drained before."""

_SOUND: Final = " OK"
"""The end of what an Envoy prints that has only checked its files."""

LOOPBACKS: Final = ("127.0.0.1", "::1")

_PIECE: Final = 1 << 20
"""Bytes that are compared at once."""


@dataclass(frozen=True, slots=True)
class Heir:
    """``child``: it goes on as it is. Without one: an Envoy of ``epoch`` is to be started, which takes over
    from ``parent`` if there is one.
    """

    epoch: int = 0
    child: Child | None = None
    parent: Child | None = None


class Succession:
    def __init__(self, config: EnvoyConfig, footprint: Footprint, admin: Admin, check: Check) -> None:
        self._config = config
        self._footprint = footprint
        self._admin = admin
        self._check = check

    async def heir(self) -> Heir:
        """Raises Unavailable if an Envoy that has to go does not, Misconfigured for files that cannot be
        used.
        """
        left = self._footprint.recorded()
        if left is None:
            return Heir()
        child, parent = Running.of(left.process), _running(left.parent)
        if child is None:
            if parent is not None and await self._serves():
                return self._back(left, parent)
            await _end(parent)
            return Heir()
        if await self._stale(left):
            if not self._reachable(left) or not await self._serves():
                await _end(parent)
                await _end(child)
                return Heir()
            if await self._better(left):
                await _end(parent)
                return Heir(left.epoch + 1, parent=child)
        return Heir(left.epoch, child, parent)

    def left(self) -> Child | None:
        """One that runs although nobody has looked at it yet."""
        try:
            left = self._footprint.recorded()
            return Running.of(left.process) if left else None
        except VmagentError as why:
            log.warning("whether an earlier agent left an Envoy behind cannot be told: %s", why)
            return None

    def _back(self, left: Record, parent: Child) -> Heir:
        """The one that was to take over is gone. Of what this one was told nobody has kept the digest: the
        next agent tries again to replace it.
        """
        log.error("Envoy goes on as an earlier agent started it, the new one ended\tpid=%d", parent.pid)
        if left.parent is not None:
            try:
                self._footprint.record(Record(left.parent, left.epoch - 1))
            except Misconfigured as why:
                log.warning("a later agent will find that out anew: %s", why)
        return Heir(left.epoch - 1, child=parent)

    async def _stale(self, left: Record) -> bool:
        """Whether one started now would be another one. Also if none could be: ``_better`` says so."""
        try:
            if left.digest != self._footprint.digest():
                return True
        except Misconfigured:
            return True
        return not await asyncio.to_thread(
            _same_content, Path(f"/proc/{left.process.pid}/exe"), self._config.binary
        )

    def _reachable(self, left: Record) -> bool:
        """Whether it can be taken over from: Envoys find one another by their base id."""
        try:
            words = Path(f"/proc/{left.process.pid}/cmdline").read_bytes()
        except OSError:  # it has ended just now
            return False
        return f"\0--base-id\0{base_id(self._config)}\0".encode() in words

    async def _better(self, left: Record) -> bool:
        """Whether the new one would start, as far as it can tell beforehand."""
        try:
            said = await self._check(self.argv(left.epoch + 1), environment(self._config))
        except Misconfigured as wrong:
            why = f"{wrong}; {wrong.hint}"
        else:
            if said.rstrip().endswith(_SOUND):
                return True
            why = complaint.sentence(said, self._config.binary) or "its new version cannot be asked"
        log.error("Envoy stays as an earlier agent started it, the new one would not start: %s", why)
        return False

    async def _serves(self) -> bool:
        """On whichever loopback its agent had it answer: the machine's addresses may be of another family."""
        ports = self._config.ports
        elsewhere = (Admin(home, ports.admin, advice=self._config.advice) for home in LOOPBACKS)
        for admin in (self._admin, *elsewhere):
            with contextlib.suppress(Unavailable):
                return not (await admin.facts()).missing
        return False

    def argv(self, epoch: int) -> Sequence[str]:
        """Of an Envoy that can be started now: its files are written."""
        self._footprint.write(epoch)
        return arguments(self._config, epoch=epoch, override=self._footprint.override())


def _running(process: ProcessId | None) -> Child | None:
    return Running.of(process) if process else None


async def _end(child: Child | None) -> None:
    """It holds our ports and talks to nobody."""
    if child is None:
        return
    log.warning("ending the Envoy that an earlier agent left behind\tpid=%d", child.pid)
    if await child.stop(TERM_PATIENCE) == "nothing":
        raise Unavailable(
            f"an earlier Envoy (pid {child.pid}) does not end", hint=f"kill -9 {child.pid} as root"
        )


def _same_content(one: Path, other: Path) -> bool:
    """False for a file that cannot be read. Two names of one file are not read."""
    try:
        with one.open("rb") as left, other.open("rb") as right:
            mine, its = os.fstat(left.fileno()), os.fstat(right.fileno())
            if os.path.samestat(mine, its):
                return True
            if mine.st_size != its.st_size:
                return False
            while piece := left.read(_PIECE):
                if piece != right.read(_PIECE):
                    return False
            return True
    except OSError:
        return False
