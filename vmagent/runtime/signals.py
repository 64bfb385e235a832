"""SIGTERM and SIGINT ask for a drain; a second of them leaves at once. SIGHUP and SIGUSR1 ask for log files
to be opened again, which is all that they do: a rotation must never drain anything. SIGQUIT asks to leave
everything to a next process, SIGUSR2 to become that process.
"""

import asyncio
import logging
import os
import signal
from collections.abc import Callable

log = logging.getLogger("lifecycle")


def stop_on_signals(stop: asyncio.Event, *, stopping: Callable[[], None]) -> None:
    """``stop`` is set by the first SIGTERM or SIGINT, after ``stopping`` was called: also when something else
    has set it before. Needs a running event loop.
    """
    loop = asyncio.get_running_loop()
    asked = False

    def heard(number: signal.Signals) -> None:
        nonlocal asked
        if asked:
            log.warning("%s again: leaving without a drain", number.name)
            os._exit(128 + number)
        asked = True
        log.info("%s: stopping", number.name)
        stopping()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, heard, number)


def reopen_on_signals(reopen: Callable[[], None]) -> None:
    """Call it at each SIGHUP and SIGUSR1. Needs a running event loop."""
    loop = asyncio.get_running_loop()

    def heard(number: signal.Signals) -> None:
        reopen()
        log.info("%s: log files are opened again", number.name)

    for number in (signal.SIGHUP, signal.SIGUSR1):
        loop.add_signal_handler(number, heard, number)


def succeed_on_signals(*, leave: Callable[[], None], renew: Callable[[], None]) -> None:
    """``leave`` at SIGQUIT, as systemd sends it for a restart; ``renew`` at SIGUSR2, for a reload. Needs a
    running event loop.
    """
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGQUIT, leave)
    loop.add_signal_handler(signal.SIGUSR2, renew)
