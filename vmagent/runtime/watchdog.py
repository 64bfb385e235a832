"""Signs of life: systemd hears one as long as the event loop turns and every thread that is watched answers.

Owns:      when WATCHDOG=1 is said (sd_watchdog_enabled(3)).
Does not:  end anything: systemd does, when it has heard nothing for the unit's WatchdogSec.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from vmagent.runtime.systemd import Tell

log = logging.getLogger("watchdog")

BEATS: Final = 4
"""Signs of life in the time after which silence counts as death: one that is late is not the end."""


class Pulse:
    """One thread's. The thread says when it begins and ends, and answers at each turn of its loop."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._wake: Callable[[], None] | None = None
        self._asked = 0
        self._answered = 0

    def begin(self, wake: Callable[[], None]) -> None:
        """``wake`` makes the thread's loop turn; it is called from another thread."""
        self._answered = self._asked
        self._wake = wake

    def answer(self) -> None:
        self._answered = self._asked

    def end(self) -> None:
        """The thread is over, which others notice: nothing is expected of it any more."""
        self._wake = None

    def ask(self) -> None:
        if self._wake is not None:
            self._asked += 1
            self._wake()

    @property
    def is_missing(self) -> bool:
        """Asked, and not answered yet."""
        return self._wake is not None and self._answered != self._asked


class Watchdog:
    def __init__(self, tell: Tell, *, patience: float) -> None:
        """``patience``: seconds of silence after which systemd acts; 0: nobody watches, and nothing is
        said.
        """
        self.pulses: tuple[Pulse, ...] = ()
        self._tell = tell
        self._period = patience / BEATS
        self._silent: tuple[str, ...] = ()

    def start(self) -> None:
        """Beat from now on, as long as the running event loop turns."""
        if self._period:
            self.beat()
            asyncio.get_running_loop().call_later(self._period, self.start)

    def beat(self) -> None:
        """A thread has the time from one beat to the next to answer."""
        silent = tuple(pulse.name for pulse in self.pulses if pulse.is_missing)
        if silent and silent != self._silent:
            log.error("no sign of life from thread %s: systemd gets none either", ", ".join(silent))
        elif self._silent and not silent:
            log.info("thread %s is back", ", ".join(self._silent))
        self._silent = silent
        if silent:
            return
        self._tell("WATCHDOG=1")
        for pulse in self.pulses:
            pulse.ask()
