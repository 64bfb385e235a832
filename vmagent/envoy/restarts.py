"""How long to wait before Envoy is started again. Pure: told how long it lived, answers with seconds."""

import random
from collections.abc import Callable
from typing import Final

from vmagent.runtime.backoff import Backoff

PATIENCE: Final = Backoff(first=0.25, most=15.0, settled=60.0)
"""15 s at most: a repaired machine is back before a person has looked at it twice."""


class Restarts:
    """The first restart is immediate: what a single crash costs is the time without a proxy. An Envoy that
    lived for ``settled`` seconds has earned the next one.
    """

    def __init__(self, backoff: Backoff = PATIENCE, roll: Callable[[], float] = random.random) -> None:
        self._backoff = backoff
        self._roll = roll
        self._delays = backoff.delays(roll)
        self._in_a_row = 0

    @property
    def in_a_row(self) -> int:
        """Failures since the last one that lived long enough."""
        return self._in_a_row

    def delay(self, *, lived: float) -> float:
        if lived >= self._backoff.settled:
            self._in_a_row = 0
            self._delays = self._backoff.delays(self._roll)
        self._in_a_row += 1
        return 0.0 if self._in_a_row == 1 else next(self._delays)
