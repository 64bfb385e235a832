"""The door to time for synchronous processes. runtime/clock.py is the agent's; it brings asyncio, 5 MB of
memory.
"""

import time
from collections.abc import Iterator


def monotonic() -> float:
    """Seconds that never jump."""
    return time.monotonic()


def tries(seconds: float, *, pause: float) -> Iterator[bool]:
    """Yields at once, then every ``pause`` seconds; False for the last time, when ``seconds`` are over."""
    deadline = time.monotonic() + seconds
    while True:
        last = time.monotonic() >= deadline
        yield not last
        if last:
            return
        time.sleep(pause)
