"""Keeps this VM in possession of a valid credential.

Owns:      when to obtain one, what introduces us while doing so, and the gate ``identity``.
Does not:  know who uses the credential: it is published as the latest value.
Surprise:  a failed renewal changes nothing for anybody: the gate stays open until the certificate itself has
           expired.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from vmagent.errors import Unavailable, VmagentError
from vmagent.identity import filewatch, rotation, store
from vmagent.identity.config import IdentityConfig
from vmagent.identity.credential import Credential
from vmagent.identity.introduction import Introduction
from vmagent.identity.obtaining import Obtaining
from vmagent.identity.resuming import Resuming
from vmagent.identity.rootfile import RootFile
from vmagent.identity.spiffe import SpiffeId
from vmagent.runtime.clock import Clock, rfc3339
from vmagent.runtime.latest import Latest

log = logging.getLogger("cache")  # Istio's name for this scope

LONGEST_NAP: Final = 60.0
"""Seconds of sleep at a time, so that a machine that slept itself, or whose clock was set, notices soon."""

REPEAT: Final = 60.0
"""Seconds after which an unchanged failure to renew is logged again. (A closed gate is repeated by its
owner.)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """``open()`` when we hold a valid credential, ``close(why)`` when we do not."""

    open: Callable[[], None]
    close: Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityStatus:
    """For status and metrics. Times are epoch seconds; ``problem`` is why the last attempt failed, or
    empty."""

    spiffe: SpiffeId
    not_after: float | None
    renews_at: float | None
    token_expires: float | None
    problem: str
    attempts: int
    failures: int


class Keeper:
    """A Part. Publishes successes only, to ``credentials``."""

    name = "identity"
    grace = 1.0

    def __init__(
        self,
        config: IdentityConfig,
        credentials: Latest[Credential],
        gate: Gate,
        introduction: Introduction,
        *,
        clock: Clock,
        roll: Callable[[], float] = random.random,
    ) -> None:
        self._config = config
        self._credentials = credentials
        self._gate = gate
        self._introduction = introduction
        self._clock = clock
        self._roll = roll
        self._renew_at: float | None = None
        self._problem: VmagentError | None = None
        self._shut = False
        self._said: tuple[str, float] = ("", 0.0)
        self._attempts = 0
        self._failures = 0
        self._saving = asyncio.Lock()
        self._roots = RootFile(config.output_dir, clock=clock)
        self._obtaining = Obtaining(config, introduction, clock=clock)
        self._resuming = Resuming(config, clock=clock)

    async def run(self) -> None:
        while True:
            await self._until_renewal()
            await self._renew()

    async def drain(self) -> None:
        """A certificate that was just published still gets to disk. A child ends with its block."""
        async with self._saving:
            return

    @property
    def status(self) -> IdentityStatus:
        """Reads the token file; cheap enough for a person's question, not for a loop."""
        held = self._credentials.value
        return IdentityStatus(
            spiffe=self._config.spiffe,
            not_after=held.not_after if held else None,
            renews_at=self._renew_at,
            token_expires=self._introduction.token().expires,
            problem=_sentence(self._problem) if self._problem else "",
            attempts=self._attempts,
            failures=self._failures,
        )

    @property
    def trouble(self) -> str:
        """Why the certificate is not renewed although it is time, while it is still good; empty for no
        reason.
        """
        held = self._credentials.value
        if self._problem is None or held is None or held.not_after <= self._clock.now():
            return ""
        until = rfc3339(held.not_after)
        return f"the certificate is good until {until} and not renewed yet: {_sentence(self._problem)}"

    # --- waiting --------------------------------------------------------------------------------------------

    async def _until_renewal(self) -> None:
        """Or until an operator edits the roots: who does that changes the CA."""
        while self._renew_at is not None and (left := self._renew_at - self._clock.now()) > 0:
            if await self._roots.edited(within=min(left, LONGEST_NAP)) and self._roots_moved():
                return

    def _roots_moved(self) -> bool:
        """Whether others are trusted than before; Envoy knows them then."""
        held = self._credentials.value
        joined = self._roots.joined(held, held) if held else None
        if joined is None or joined == held:
            return False
        log.info("root certificates were edited: trusted from now on; a new certificate is asked for")
        self._credentials.publish(joined)
        return True

    async def _renew(self) -> None:
        """Returns with a fresh credential in place, however long that takes."""
        kind, delays = rotation.AWAY, rotation.AWAY.delays(self._roll)
        while True:
            before = filewatch.look(
                self._inputs
            )  # before they are read, or a change in between would be missed
            if await self._have_one_after_all():
                return
            problem = await self._attempt()
            if problem is None:
                return
            self._report(problem)
            suited = rotation.AWAY if isinstance(problem, Unavailable) else rotation.SAID_NO
            if suited is not kind:
                kind, delays = suited, suited.delays(self._roll)
            wait = rotation.retry_in(next(delays), now=self._clock.now(), expires=self._expires)
            if await self._edited(before, within=wait):
                delays = kind.delays(self._roll)
                self._roots_moved()

    async def _edited(self, before: filewatch.Look, *, within: float) -> bool:
        """False after so many seconds, or as soon as there may be a certificate without an edit."""
        end = self._clock.monotonic() + within
        while (left := end - self._clock.monotonic()) > 0:
            if self._may_resume or self._clock_was_ahead:
                return False
            nap = min(left, filewatch.POLL)
            if await filewatch.changed(self._inputs, before, within=nap, clock=self._clock):
                return True
        return False

    @property
    def _inputs(self) -> filewatch.Paths:
        config, files = self._config, self._config.client_files
        paths = [config.token] + ([config.root_cert] if config.root_cert else [])
        return (*paths, *(files.paths if files else ()))

    @property
    def _expires(self) -> float | None:
        held = self._credentials.value
        return held.not_after if held else None

    # --- what we have already -------------------------------------------------------------------------------

    @property
    def _may_resume(self) -> bool:
        return self._credentials.value is None and self._resuming.worthwhile

    @property
    def _clock_was_ahead(self) -> bool:
        """What we hold had expired, and now it has not."""
        return self._shut and (self._expires or 0.0) > self._clock.now()

    async def _have_one_after_all(self) -> bool:
        """What we hold, or held in the last run, is used as soon as it can be. True: there is no hurry."""
        if self._clock_was_ahead:
            self._open()
            return True
        if not self._may_resume:
            return False
        found = await self._resuming.credential()
        if found is None:
            return False
        self._take(found.credential, found.received)
        log.info("returned workload certificate from cache\tttl=%s", self._ttl(found.credential))
        if found.unfinished:
            await self._save(found.credential)
        return True

    # --- obtaining ------------------------------------------------------------------------------------------

    async def _attempt(self) -> VmagentError | None:
        """None: it worked, and the new credential is published."""
        self._attempts += 1
        began = self._clock.monotonic()
        try:
            credential = self._roots.joined(await self._obtaining.credential(), self._credentials.value)
        except VmagentError as problem:
            self._failures += 1
            self._problem = problem
            return problem
        self._take(credential, self._clock.now())
        took = (self._clock.monotonic() - began) * 1000
        log.info(
            "generated new workload certificate\tresourceName=default\tlatency=%.0fms\tttl=%s",
            took,
            self._ttl(credential),
        )
        await self._save(credential)
        return None

    # --- consequences ---------------------------------------------------------------------------------------

    def _take(self, credential: Credential, received: float) -> None:
        self._problem = None
        self._said = ("", 0.0)
        self._renew_at = rotation.renew_at(
            received=received,
            expires=credential.not_after,
            ratio=self._config.grace_ratio,
            jitter=self._config.grace_jitter,
            roll=self._roll(),
        )
        self._credentials.publish(credential)
        self._open()

    def _open(self) -> None:
        self._shut = False
        self._gate.open()

    async def _save(self, credential: Credential) -> None:
        """A full disk must not cost us the certificate that we hold in memory."""
        if self._config.output_dir is None:
            return
        try:
            async with self._saving:
                mine = partial(store.save, roots=lambda: self._roots.untouched)
                await asyncio.to_thread(mine, self._config.output_dir, credential)
                self._roots.written(credential.root_pem)
        except OSError as error:
            log.warning(
                "cannot keep the certificate in %s, a restart will need the CA: %s (who owns the directory?)",
                self._config.output_dir,
                error.strerror,
            )

    def _report(self, problem: VmagentError) -> None:
        """One place says each failure once: the gate while we have nothing, the log while we have
        something."""
        why, expires, now = _sentence(problem), self._expires, self._clock.now()
        if expires is None or expires <= now:
            self._shut = True
            expired = "" if expires is None else f"our certificate expired at {rfc3339(expires)}; "
            self._gate.close(f"{expired}{why}")
        elif self._said[0] != why or self._clock.monotonic() - self._said[1] >= REPEAT:
            self._said = (why, self._clock.monotonic())
            log.warning("cannot renew the certificate yet, it is good until %s: %s", rfc3339(expires), why)

    def _ttl(self, credential: Credential) -> str:
        left = int(credential.not_after - self._clock.now())
        return f"{left // 3600}h{left % 3600 // 60}m{left % 60}s"


def _sentence(problem: VmagentError) -> str:
    return f"{problem} ({problem.hint})" if problem.hint else str(problem)
