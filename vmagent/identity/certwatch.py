"""Keeps an eye on certificates in files, for whoever wants some: the newest good content, and what is wrong.

Owns:      when files are read again, and that what was good stays until something better is there.
Does not:  know what a good one is (certfiles.py) or who uses it.
Surprise:  it polls. An inotify watch does not see a file that appears in a directory that is not there yet,
           nor one whose directory becomes readable, and one look costs a stat for each file.
"""

import asyncio
import errno
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from vmagent.errors import Misconfigured, Refused, Unavailable, VmagentError
from vmagent.identity import certfiles, filewatch, keys
from vmagent.identity.certfiles import Bundle, Content, Pair
from vmagent.identity.certsource import Source
from vmagent.runtime.clock import Clock, rfc3339
from vmagent.runtime.latest import Latest
from vmagent.runtime.waiting import happens

log = logging.getLogger("cache")  # Istio's name for this scope

POLL: Final = 0.5
"""Seconds between looks, as for all files that a person may mend."""

FRESH: Final = 2.0
"""Seconds. A file that was changed so recently may change again without looking different (a kernel's clock
ticks every 4 ms), and the other half of its pair may be under way: it is read once more after that, and until
then what does not fit is no trouble for whoever has something good.
"""

SIGNER_AGAIN: Final = 5.0
"""Seconds between tries to start the child that judges, if it cannot be started."""

MOST: Final = 256
"""Sources at a time. Each is two files and a stat of both twice a second; whoever names more is mistaken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """``content`` is the last that was good, None before the first; ``problem`` is what is wrong now, a
    sentence, or empty.
    """

    content: Content | None = None
    problem: str = ""
    looked: bool = True
    """False before the first look."""


class _Kept:
    def __init__(self, source: Source, *, optional: bool) -> None:
        self.source = source
        self.optional = optional
        self.users = 0
        self.found = Found(looked=False)
        self.look: filewatch.Look | None = None
        self.changed_at = 0.0
        self.settled = False
        """Read after it had been left alone for long enough: there is no need to read it again."""
        self.data: tuple[bytes, ...] = ()
        """What was judged last."""
        self.unfit = True
        """And was not found to be good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    kept: _Kept
    look: filewatch.Look
    data: tuple[bytes, ...] | Misconfigured


class CertWatch:
    """A Part. ``want`` and ``release`` come in pairs; ``news`` moves whenever some ``found`` has."""

    name = "certificate-files"
    grace = 0.5

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[Source, _Kept] = {}
        self._asked = asyncio.Event()
        self._judge_at = 0.0
        self.news: Latest[int] = Latest()
        self.failures = 0
        """Looks that found something wrong, for the metrics."""

    def want(self, source: Source, *, optional: bool = False) -> None:
        """``optional``: it is no trouble if none of the files has ever been there. Raises Refused when too
        many are wanted already.
        """
        kept = self._kept.get(source)
        if kept is None:
            if len(self._kept) >= MOST:
                raise Refused(f"{MOST} certificate files are in use already; {source} is one too many")
            kept = self._kept[source] = _Kept(source, optional=optional)
            self._asked.set()
        kept.users += 1

    def release(self, source: Source) -> None:
        kept = self._kept[source]
        kept.users -= 1
        if not kept.users:
            del self._kept[source]

    def found(self, source: Source) -> Found:
        kept = self._kept.get(source)
        return kept.found if kept else Found(looked=False)

    @property
    def all(self) -> dict[Source, Found]:
        return {source: kept.found for source, kept in self._kept.items()}

    async def run(self) -> None:
        while True:
            if not self._kept:
                await self._asked.wait()
            self._asked.clear()
            await self._look()
            await happens(self._asked, within=POLL)

    async def drain(self) -> None:
        """Nothing is ours: others wrote the files."""

    # --- looking --------------------------------------------------------------------------------------------

    async def _look(self) -> None:
        """The disk is looked at in a thread: a file system that hangs must not stop anything else."""
        if self._clock.monotonic() >= self._judge_at:
            readings = await asyncio.to_thread(_read_changed, tuple(self._kept.values()))
            if due := [reading.kept for reading in readings if self._is_new(reading)]:
                await self._judge(due)
        for kept in tuple(self._kept.values()):
            if kept.found.content and not kept.found.problem:
                self._tell(kept, kept.found.content, self._expiry(kept))

    def _is_new(self, reading: _Reading) -> bool:
        """Whether there is something to judge."""
        kept, now = reading.kept, self._clock.monotonic()
        if reading.look != kept.look:
            kept.look, kept.changed_at = reading.look, now
        kept.settled = now - kept.changed_at > FRESH
        if isinstance(reading.data, Misconfigured):
            kept.data = ()
            self._unfit(kept, reading.data)
            return False
        if reading.data == kept.data and not (kept.settled and kept.unfit):
            return False
        kept.data = reading.data
        return True

    async def _judge(self, due: list[_Kept]) -> None:
        """One child for all: it costs a quarter of a second to start."""
        try:
            async with keys.signer() as signer:
                for kept in due:
                    try:
                        self._good(kept, await certfiles.judge(kept.source, kept.data, signer))
                    except Refused as problem:
                        self._unfit(kept, problem)
        except Unavailable as problem:
            self._judge_at = self._clock.monotonic() + SIGNER_AGAIN
            for kept in due:
                kept.look, kept.data = None, ()
                self._unfit(kept, problem)

    # --- telling --------------------------------------------------------------------------------------------

    def _good(self, kept: _Kept, content: Content) -> None:
        kept.unfit = False
        if isinstance(content, Bundle) and content.dropped:
            log.warning("%s: %d certificates are damaged and left out", kept.source, content.dropped)
        self._tell(kept, content, self._expiry(kept, content))

    def _unfit(self, kept: _Kept, problem: VmagentError) -> None:
        kept.unfit = True
        if kept.optional and kept.found.content is None and set(kept.look or ()) == {errno.ENOENT}:
            self._tell(kept, None, "")
        elif kept.found.content is None or kept.settled:
            why = f"{problem}; {problem.hint}" if problem.hint else str(problem)
            self._tell(kept, kept.found.content, why)

    def _expiry(self, kept: _Kept, content: Content | None = None) -> str:
        """It stays in use, as in Istio: whether an expired one will do is for the peer to say."""
        shown = content or kept.found.content
        if not isinstance(shown, Pair) or shown.not_after > self._clock.now():
            return ""
        expired = f"the certificate in {kept.source.paths[0]} expired at {rfc3339(shown.not_after)}"
        return f"{expired}; put a new one there, with its key"

    def _tell(self, kept: _Kept, content: Content | None, problem: str) -> None:
        before, now = kept.found, Found(content=content, problem=problem)
        if now == before:
            return
        kept.found = now
        if problem:
            self.failures += 1
            stays = content is not None and kept.unfit
            log.warning("%s%s", problem, "; what was there before is used on" if stays else "")
        elif before.problem:
            log.info("%s: good again", kept.source)
        self.news.publish((self.news.value or 0) + 1)


def _read_changed(kept: Sequence[_Kept]) -> list[_Reading]:
    """Those that differ from what was seen last, or were changed too recently to be sure."""
    found: list[_Reading] = []
    for each in kept:
        look = filewatch.look(each.source.paths)  # before they are read, or a change in between is missed
        if look == each.look and each.settled:
            continue
        try:
            found.append(_Reading(kept=each, look=look, data=certfiles.read(each.source)))
        except Misconfigured as problem:
            found.append(_Reading(kept=each, look=look, data=problem))
    return found
