"""When capture comes on, is looked after, and goes. Pure: what was seen goes in, what to do comes out.

Surprise: the agent's gates decide only when capture *begins*. Once it is on, it stays while Envoy takes
          connections and an agent answers names, and for a grace after: who restarts must not cost the rules.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

from vmagent.runtime.backoff import Backoff

GRACE: Final = 5.0
"""Seconds without an Envoy that takes connections until traffic goes direct. Longer than a restart of agent
and Envoy (1 s in the unit).
"""

AWAY: Final = 15.0
"""Seconds without an agent, while Envoy goes on: names are captured, too, and nobody answers them. Longer
than a restart on a busy machine.
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
    """Whether an agent runs (holds its lock) that answers names."""
    envoy: bool
    """Whether Envoy accepts connections. Only asked for while captured and not known from its gate."""
    leaving: bool = False
    """Whether the agent stops for good, and waits for us."""


class Watch:
    def __init__(self, *, captured: bool, now: float) -> None:
        """``captured``: rules of an earlier process are there already."""
        self.captured = captured
        self.in_part = False
        """An apply ended between its first write and its last, as one that is killed does."""
        self.is_dismissed = False
        self._began = now
        self._gates_open = False
        self._due = False
        """Captured, but not yet as it should be: settings may be others, or an apply failed."""
        self._no_envoy_since: float | None = None
        self._no_agent_since: float | None = None
        self._verify_at = now
        self._retry_at = now
        self._delays: Iterator[float] = RETRY.delays()

    def decide(self, seen: Seen) -> Action:
        opened = not seen.waiting and not self._gates_open
        self._gates_open = not seen.waiting
        if opened:
            self._due = True
            self._retry_at = seen.now
        if self.is_dismissed:
            return Action.WAIT
        if seen.leaving:
            return Action.REMOVE if self.captured else Action.WAIT
        if self._abandoned(seen) or self.in_part:
            return Action.REMOVE
        if not seen.waiting and (self._due or not self.captured) and seen.now >= self._retry_at:
            return Action.APPLY
        # What a look finds is mended by an apply: one that fails is not tried sooner for that.
        if self.captured and seen.now >= max(self._verify_at, self._retry_at):
            self._verify_at = seen.now + VERIFY_EVERY
            return Action.VERIFY
        return Action.WAIT

    def _abandoned(self, seen: Seen) -> bool:
        self._no_envoy_since = _since(self._no_envoy_since, seen.now, missing=not seen.envoy)
        self._no_agent_since = _since(self._no_agent_since, seen.now, missing=not seen.agent)
        if not self.captured:
            return False
        return _longer(self._no_envoy_since, seen.now, GRACE) or _longer(self._no_agent_since, seen.now, AWAY)

    def applied(self, now: float) -> None:
        self.captured = True
        self._due = False
        self._verify_at = now + VERIFY_EVERY
        self._delays = RETRY.delays()

    def failed(self, now: float) -> float:
        """An apply failed; it is tried again after as many seconds as this says."""
        delay = next(self._delays)
        self._retry_at = now + delay
        self._due = True
        return delay

    def interrupted(self) -> None:
        """The apply that failed has left rules, nobody knows how many of them: they go, as they do when an
        apply fails that lives to see it, and until they are gone nothing else is done.
        """
        self.captured = self.in_part = True

    def removed(self, now: float) -> None:
        self.captured = self.in_part = False
        self._no_envoy_since = self._no_agent_since = None
        self._began = now

    def dismissed(self, now: float) -> None:
        """A person took the rules back: nothing is done until the next start, whatever the gates say."""
        self.is_dismissed = True
        self.removed(now)

    def pause(self, now: float) -> float:
        """Seconds until the next look."""
        return FAST if not self.captured and now - self._began < FAST_FOR else SLOW


def _since(before: float | None, now: float, *, missing: bool) -> float | None:
    if not missing:
        return None
    return now if before is None else before


def _longer(since: float | None, now: float, limit: float) -> bool:
    return since is not None and now - since > limit
