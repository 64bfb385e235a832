"""When capture comes on, is looked after, and goes. Pure: what was seen goes in, what to do comes out.

Surprise: the agent's gates decide only when capture *begins*. Once it is on, it stays while the agent or
          Envoy lives, and for a grace after: an agent that restarts must not cost the rules.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from vmagent.runtime.backoff import Backoff

GRACE: Final = 5.0
"""Seconds without agent and without Envoy until traffic goes direct. Longer than a restart of both (2 s in
the unit).
"""

VERIFY_EVERY: Final = 10.0
"""Seconds between two looks at the rules; each costs two or three short processes."""

SAY_EVERY: Final = 15.0
"""Seconds between two lines about what we wait for."""

FAST: Final = 0.05
"""Seconds between looks at the gates while a start is likely: what a start to ready may lose here."""
FAST_FOR: Final = 30.0
SLOW: Final = 0.5
"""Later on, and while captured. Six small files are read each time."""

RETRY: Final = Backoff(first=1.0, most=30.0)


class Action(Enum):
    APPLY = "apply"
    REMOVE = "remove"
    VERIFY = "verify"
    WAIT = "wait"


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    now: float
    """Monotonic seconds."""
    waiting: Mapping[str, str]
    """The agent's gates that are not open, with their reasons."""
    agent: bool
    """Whether an agent runs (holds its lock)."""
    envoy: bool
    """Whether Envoy accepts connections. Only asked for while captured without an agent."""


class Watch:
    def __init__(self, *, captured: bool, now: float) -> None:
        """``captured``: rules of an earlier process are there already."""
        self.captured = captured
        self.is_dismissed = False
        self._began = now
        self._gates_open = False
        self._alone_since: float | None = None
        self._verify_at = now
        self._retry_at = now
        self._delays: Iterator[float] = RETRY.delays()

    def decide(self, seen: Seen) -> Action:
        opened = not seen.waiting and not self._gates_open
        self._gates_open = not seen.waiting
        if opened:
            self._retry_at = seen.now
        if self.is_dismissed:
            return Action.WAIT
        if self._abandoned(seen):
            return Action.REMOVE
        if not seen.waiting and (opened or not self.captured) and seen.now >= self._retry_at:
            return Action.APPLY
        if self.captured and seen.now >= self._verify_at:
            self._verify_at = seen.now + VERIFY_EVERY
            return Action.VERIFY
        return Action.WAIT

    def _abandoned(self, seen: Seen) -> bool:
        if not self.captured or seen.agent or seen.envoy:
            self._alone_since = None
            return False
        if self._alone_since is None:
            self._alone_since = seen.now
        return seen.now - self._alone_since > GRACE

    def applied(self, now: float) -> None:
        self.captured = True
        self._verify_at = now + VERIFY_EVERY
        self._delays = RETRY.delays()

    def failed(self, now: float) -> float:
        """An apply failed; it is tried again after as many seconds as this says."""
        delay = next(self._delays)
        self._retry_at = now + delay
        self._gates_open = self._gates_open and not self.captured
        return delay

    def removed(self, now: float) -> None:
        self.captured = False
        self._alone_since = None
        self._began = now

    def dismissed(self, now: float) -> None:
        """A person took the rules back: nothing is done until the next start, whatever the gates say."""
        self.is_dismissed = True
        self.removed(now)

    def pause(self, now: float) -> float:
        """Seconds until the next look."""
        return FAST if not self.captured and now - self._began < FAST_FOR else SLOW
