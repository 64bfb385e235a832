"""An exclusive flock for a stretch of work, waited for with a limit. (runtime/files.Lock is held until the
process ends.)
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from vmagent.capture import timing
from vmagent.errors import Unavailable

POLL: Final = 0.05
"""Seconds between tries: a flock cannot be waited for with a limit."""


@contextmanager
def exclusive(path: Path, *, wait: float, mode: int = 0o600) -> Iterator[None]:
    """Raises Unavailable after ``wait`` seconds. A process that dies gives its lock back."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode)
    try:
        for _ in timing.tries(wait, pause=POLL):
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                continue
        else:
            raise Unavailable(
                f"another process has held {path} for {wait:g} s", hint=f"who it is: fuser -v {path}"
            )
        yield
    finally:
        os.close(handle)
