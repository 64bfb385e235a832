"""When what the mesh says goes to disk, and when it is taken from there.

Owns:      the two moments: some seconds after Envoy has accepted something new, and at a start to which no
           control plane answers.
Does not:  know the file (disk.py), or what is whole (xds/restoring.py).
Surprise:  a control plane that is there is always waited for first: what it says now is better than what it
           said yesterday. One that goes before it has said everything is helped out, as often as it does
           that, until Envoy has started. And nothing is taken from disk before there is a certificate that is
           valid: without one nobody would believe us.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from vmagent.identity.credential import Credential
from vmagent.runtime.clock import Clock
from vmagent.runtime.latest import Latest
from vmagent.runtime.lifecycle import Tasks
from vmagent.runtime.waiting import happens
from vmagent.xds.hub import Hub
from vmagent.xds.lastgood import codec
from vmagent.xds.lastgood.content import Damaged, Kept, Owner
from vmagent.xds.lastgood.disk import FILE, Disk, Found

log = logging.getLogger("xdsproxy")

PATIENCE: Final = 3.0
"""Seconds for a control plane that takes connections, or drops packets, and says nothing. One that is known
not to be there is not waited for.
"""

EVERY: Final = 5.0
"""Seconds between looks at whether there is something new. What changed since the last look waits for one
more: changes come in bursts.
"""

SLOWEST: Final = 256 * 1024
"""Bytes a second that are written on average where changes never end: a mesh of 60 MB every four minutes."""

AGAIN: Final = 30.0
"""Seconds until a disk that would not take it is tried again."""

CONFIRM_EVERY: Final = 30.0
"""Seconds between notes that the control plane is still there: by so much an age may be too high."""


LIMIT: Final = "VMAGENT_LAST_KNOWN_GOOD_MAX_AGE"


@dataclass(frozen=True, slots=True, kw_only=True)
class LastGoodConfig:
    """``max_age`` in seconds: older is not used. Not ``enabled``: nothing is kept, and what was kept goes."""

    directory: Path
    enabled: bool = True
    max_age: float = 24 * 3600.0
    owner: Owner = field(default_factory=dict)


class LastGood:
    """A Part."""

    name = "last-known-good"
    grace = 2.0

    def __init__(
        self,
        config: LastGoodConfig,
        hub: Hub,
        credentials: Latest[Credential],
        *,
        clock: Clock,
        every: float = EVERY,
    ) -> None:
        self._config = config
        self._hub = hub
        self._credentials = credentials
        self._clock = clock
        self._every = every
        self._disk = Disk(config.directory, config.owner)
        self._missed = asyncio.Event()
        self._seen: float | None = None
        """When the control plane was last there in the life that what was put back is from."""
        self._contact = 0.0
        """When it was last there in this one."""
        self._saved = 0
        """Acceptances when we saved last."""
        self._noticed = 0
        """Acceptances at the last look."""
        self._next_at = 0.0
        self._confirmed_at = 0.0
        self._failing = ""
        self._too_old = False

    def missed(self) -> None:
        """An attempt at the control plane failed."""
        self._missed.set()

    @property
    def age(self) -> float | None:
        """Seconds since the control plane was last there, while what it said then is being served; else
        None.
        """
        if self._seen is None or not self._hub.restored:
            return None
        return max(0.0, self._clock.now() - self._seen)

    @property
    def told(self) -> str:
        """For a person; empty while the mesh's own word is served. An age that the next start would not
        accept takes nothing away from an Envoy that serves.
        """
        age = self.age
        if age is None:
            return ""
        limit = f"{LIMIT} allows {self._config.max_age:g} s: the next start would not use it"
        return f"serving last known good, {said(age)}" + f"; {limit}" * (age > self._config.max_age)

    async def run(self) -> None:
        await self._quietly(self._disk.sweep)
        if not self._config.enabled:
            await self._quietly(self._disk.forget)
            await asyncio.Event().wait()
        async with Tasks() as tasks:
            tasks.start("last-known-good-restore", self._restore())
            await self._keep()

    async def drain(self) -> None:
        """What came in the last seconds still gets to disk."""
        if self._config.enabled and self._hub.responses:
            await self._save()

    # --- back -----------------------------------------------------------------------------------------------

    async def _restore(self) -> None:
        await self._identified()
        self._missed.clear()
        await happens(self._missed, within=PATIENCE)
        while not self._hub.settled:
            self._missed.clear()
            if self._hub.wanting and not await self._put_back():
                return
            await self._missed.wait()

    async def _put_back(self) -> bool:
        """False: there is nothing to put back, now or later."""
        found = await self._found()
        if found is None:
            return False
        if not self._hub.wanting:
            return True
        before = self._hub.restored
        self._seen = found.seen
        self._hub.restore(found.kept.sections)
        if self._hub.restored and not before:
            missing = "has not said everything" if self._hub.responses else "has not answered"
            log.warning("the control plane %s: serving last known good, %s", missing, said(self.age or 0.0))
        return True

    async def _identified(self) -> None:
        async for credential in self._credentials.changes():
            if credential.not_after > self._clock.now():
                return

    async def _found(self) -> Found | None:
        path = self._disk.path
        try:
            found = await asyncio.to_thread(self._disk.load)
        except Damaged as why:
            log.warning("%s %s; it is set aside as %s and not used", path, why, self._disk.aside.name)
            return None
        except OSError as why:
            log.warning("%s cannot be used: %s", path, why.strerror)
            return None
        if found is None:
            return None
        if objection := self._objection(found):
            log.warning("%s is not used: %s", path, objection)
            return None
        return found

    def _objection(self, found: Found) -> str:
        age = self._clock.now() - found.seen
        if age > self._config.max_age:
            return f"{said(age)}, and {LIMIT} allows {self._config.max_age:g} s"
        if not self._hub.holds(found.kept.sections):
            return "it lacks what is asked for now, such as the mesh's names"
        return ""

    # --- there ----------------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        while True:
            await self._clock.sleep(self._every)
            self._warn_of_age()
            if not self._hub.responses:
                continue
            if self._hub.connected:
                self._contact = self._clock.now()
            settled = self._noticed == self._hub.acceptances
            self._noticed = self._hub.acceptances
            if self._noticed != self._saved:
                if settled and self._clock.monotonic() >= self._next_at:
                    await self._save()
            elif (
                self._saved
                and self._hub.connected
                and self._clock.monotonic() >= self._confirmed_at + CONFIRM_EVERY
            ):
                self._confirmed_at = self._clock.monotonic()
                await self._quietly(self._disk.confirm, self._contact)

    def _warn_of_age(self) -> None:
        """Once for each time that it is served."""
        old = (self.age or 0.0) > self._config.max_age
        if old and not self._too_old:
            log.warning("the control plane is still away: %s", self.told)
        self._too_old = old

    async def _save(self) -> None:
        acceptances, sections = self._hub.acceptances, self._hub.picture
        if not sections or acceptances == self._saved:
            return
        kept = Kept(owner=self._config.owner, sections=sections)
        now = self._clock.monotonic()
        if await self._quietly(self._disk.save, kept, self._last_there):
            self._saved, self._confirmed_at = acceptances, now
            self._next_at = now + codec.size(kept) / SLOWEST
        else:
            self._next_at = now + AGAIN

    @property
    def _last_there(self) -> float:
        """One that went before it had said everything makes nothing newer that it has not said."""
        if self._seen is not None and self._hub.restored and not self._hub.connected:
            return self._seen
        return self._contact or self._clock.now()

    async def _quietly(self, act: Callable[..., object], *arguments: object) -> bool:
        """A disk that is full or read-only costs this, and nothing else; it is said once."""
        try:
            await asyncio.to_thread(act, *arguments)
        except OSError as why:
            sentence = f"{self._config.directory / FILE} cannot be kept: {why.strerror}"
            if sentence != self._failing:
                log.warning("%s; a start without a control plane would have nothing", sentence)
            self._failing = sentence
            return False
        self._failing = ""
        return True


def said(age: float) -> str:
    """As a person says it: ``12 minutes old``."""
    minutes = int(age // 60)
    if minutes >= 120:
        return f"{minutes // 60} hours old"
    return f"{minutes} minute{'' if minutes == 1 else 's'} old"
