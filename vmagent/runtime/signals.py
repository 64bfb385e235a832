"""SIGTERM and SIGINT ask for a drain; a second one leaves at once."""

import asyncio
import logging
import os
import signal

log = logging.getLogger("lifecycle")


def stop_on_signals() -> asyncio.Event:
    """Set by the first SIGTERM or SIGINT. Needs a running event loop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def heard(number: signal.Signals) -> None:
        if stop.is_set():
            log.warning("%s again: leaving without a drain", number.name)
            os._exit(128 + number)
        log.info("%s: stopping", number.name)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, heard, number)
    return stop
