"""Notices that a file was repaired. Polls, and only while something is wrong: an inotify watch cannot see a
file that appears in a directory that does not exist yet, or one whose directory becomes readable."""

from pathlib import Path
from typing import Final

from vmagent.runtime.clock import Clock

POLL: Final = 0.5
"""Seconds. A repaired file heals the agent within 2 s, of which an attempt takes well below one."""

Paths = tuple[Path, ...]
Look = tuple[object, ...]


def look(paths: Paths) -> Look:
    """What the files are like now; compare two with ``==``."""
    return tuple(_one(path) for path in paths)


def _one(path: Path) -> object:
    try:
        found = path.stat()
    except OSError as error:
        return error.errno
    # ctime too: making a file readable changes nothing else.
    return found.st_ino, found.st_dev, found.st_size, found.st_mtime_ns, found.st_ctime_ns


async def changed(paths: Paths, before: Look, *, within: float, clock: Clock) -> bool:
    """True as soon as the files differ from ``before``, False after ``within`` seconds without a change."""
    end = clock.monotonic() + within
    while look(paths) == before:
        left = end - clock.monotonic()
        if left <= 0:
            return False
        await clock.sleep(min(POLL, left))
    return True
