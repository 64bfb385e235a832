"""The only door to files the agent writes: whole or not at all, with an explicit mode."""

import contextlib
import fcntl
import os
import tempfile
from pathlib import Path


def write(path: Path, data: bytes, *, mode: int) -> None:
    """Replace ``path`` atomically. A reader sees the old file or the new one, never half of either.

    ``mode`` is set before the first byte, so a secret is never readable by others, not even for a moment.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        os.fchmod(handle, mode)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise


def directory(path: Path, *, mode: int) -> Path:
    """Make ``path`` and what is above it; ``mode`` holds for the last part, also when it already was
    there.
    """
    path.mkdir(parents=True, exist_ok=True)
    if (path.stat().st_mode & 0o7777) != mode:
        path.chmod(mode)
    return path


def remove(path: Path) -> None:
    """Gone afterwards, whether it was there or not."""
    path.unlink(missing_ok=True)


class Lock:
    """An advisory lock on a file, held until the process ends: whoever holds it is the one agent of this
    place.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None

    def acquire(self) -> int | None:
        """None if the lock is now ours, else the pid that its holder wrote there (0 if it wrote none yet)."""
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            text = os.read(handle, 32).decode().strip()
            os.close(handle)
            return int(text) if text.isdigit() else 0
        os.ftruncate(handle, 0)
        os.write(handle, f"{os.getpid()}\n".encode())
        self._handle = handle
        return None


def locked(path: Path) -> bool:
    """Whether some process holds the lock on ``path``. Changes nothing."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False
