"""Delays between attempts, as a value."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Doubling delays with jitter, in seconds.

    Start over only after ``settled`` seconds of success, so that a peer that accepts and then hangs up
    at once is not hammered.
    """

    first: float = 0.1
    most: float = 30.0
    settled: float = 60.0

    def delays(self, roll: Callable[[], float] = random.random) -> Iterator[float]:
        """Endless. ``roll`` draws from [0, 1): each delay lies between half of its step and the whole
        step.
        """
        step = self.first
        while True:
            yield step * (0.5 + roll() / 2)
            step = min(step * 2, self.most)
