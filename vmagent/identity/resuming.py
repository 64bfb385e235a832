"""The credential of the last run: used at once if it is good, and looked at again if it was not.

Owns:      when the verdict on what is stored may be another one by now.
Does not:  know the files (store.py) or judge (keys.py); decide what becomes of a good one (keeper.py).
Surprise:  it may become good without a change of its own: a machine boots with a clock that is an hour wrong,
           which is set right a minute later, or has no room for the child that judges. Nobody else could tell
           us who we are then: the token lay in memory, and the reboot took it.
"""

import asyncio
import logging
from dataclasses import dataclass
from typing import Final

from vmagent.errors import Unavailable, VmagentError
from vmagent.identity import filewatch, keys, store
from vmagent.identity.config import IdentityConfig
from vmagent.identity.credential import Credential
from vmagent.runtime.clock import Clock

log = logging.getLogger("cache")

UNJUDGED_AGAIN: Final = 5.0
"""Seconds until another try where files could not be read, or the child that judges not be started."""

REFUSED_AGAIN: Final = 60.0
"""Seconds after which what was refused is judged again although files and clock are as they were: it may
have been too early. Each time costs a quarter of a second of a processor."""

STEP: Final = 1.0
"""Seconds by which a clock that was set has jumped. One that is only slowed or hurried is not set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """``received``: when we got it, epoch seconds; ``unfinished``: it asks for another ``save``."""

    credential: Credential
    received: float
    unfinished: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verdict:
    """``offset``: of the wall clock to the one that never jumps; ``until`` by the latter."""

    look: filewatch.Look
    offset: float
    until: float


class Resuming:
    def __init__(self, config: IdentityConfig, *, clock: Clock) -> None:
        self._config = config
        self._paths = store.paths(config.output_dir) if config.output_dir else ()
        self._clock = clock
        self._refused: _Verdict | None = None
        self._unjudged = False

    @property
    def worthwhile(self) -> bool:
        """Whether a look may find something that the last one did not."""
        if not self._paths:
            return False
        return self._is_news or self._refused is None or self._clock.monotonic() >= self._refused.until

    async def credential(self) -> Resumed | None:
        """The newest that is good, whatever state CA and token are in."""
        directory = self._config.output_dir
        if directory is None:
            return None
        level = logging.WARNING if self._is_news else logging.DEBUG
        look, offset, self._unjudged = filewatch.look(self._paths), self._offset, False
        found: list[store.Stored] = []
        try:
            found = await asyncio.to_thread(store.load, directory)
        except OSError as error:
            self._unjudged = True
            log.log(level, "stored certificate in %s cannot be read: %s", directory, error.strerror)
        for stored in found:
            if credential := await self._judge(stored, level):
                # A CA sets NotBefore back; we got it when we wrote it. A copied file may bear any date.
                received = min(max(stored.received, credential.not_before), self._clock.now())
                return Resumed(credential=credential, received=received, unfinished=stored.unfinished)
        wait = UNJUDGED_AGAIN if self._unjudged else REFUSED_AGAIN
        self._refused = _Verdict(look=look, offset=offset, until=self._clock.monotonic() + wait)
        return None

    @property
    def _is_news(self) -> bool:
        """Whether files or clock are other ones than at the last look; else a refusal is not worth a line."""
        last = self._refused
        if last is None or filewatch.look(self._paths) != last.look:
            return True
        return abs(self._offset - last.offset) > STEP

    @property
    def _offset(self) -> float:
        return self._clock.now() - self._clock.monotonic()

    async def _judge(self, stored: store.Stored, level: int) -> Credential | None:
        try:
            async with keys.signer() as signer:
                return await signer.check(
                    key=stored.key,
                    chain=stored.chain,
                    root=stored.root,
                    spiffe=self._config.spiffe,
                    now=self._clock.now(),
                )
        except VmagentError as problem:
            self._unjudged = self._unjudged or isinstance(problem, Unavailable)
            log.log(level, "stored certificate in %s is not used: %s", self._config.output_dir, problem)
            return None
