"""The only door to files the agent writes: whole or not at all, with an explicit mode.

And how a small file is read that somebody else may have put there, and how a lock is taken and looked at.
"""

import contextlib
import errno
import fcntl
import glob
import logging
import os
import stat
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from vmagent.errors import Unavailable

log = logging.getLogger("files")

LOCK_PATIENCE: Final = 1.0
"""Seconds until a lock counts as another agent's: one that is about to end, or a backup that looks, is gone
sooner.
"""
LOCK_POLL: Final = 0.05

LOCKS: Final = Path("/proc/locks")
LOOKS: Final = 2
"""The kernel hands out that list by the page; when a lock goes meanwhile, the first one of the next page is
left out.
"""

_cleared: set[Path] = set()
"""What ``write`` has looked after once."""

_unwritten: set[Path] = set()
"""What ``publish`` has complained about."""


def write(path: Path, data: bytes, *, mode: int) -> None:
    """Replace ``path`` atomically. A reader sees the old file or the new one, never half of either.

    ``mode`` is set before the first byte, so a secret is never readable by others, not even for a moment.
    One process at a time may write a file: what a killed one left of its try goes with the first of the next.
    """
    write_pieces(path, (data,), mode=mode)


def write_pieces(path: Path, pieces: Iterable[bytes], *, mode: int) -> None:
    """``write`` for what is too large to be put together first."""
    if path not in _cleared:
        _cleared.add(path)
        for left in path.parent.glob(f".{glob.escape(path.name)}.????????"):
            remove(left)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        os.fchmod(handle, mode)
        with os.fdopen(handle, "wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise


def publish(path: Path, data: bytes, *, mode: int) -> bool:
    """``write`` for what only informs others: a full disk must not end the one who informs.

    False if it could not be written; the log says so once, and once more when it can be again.
    """
    try:
        write(path, data, mode=mode)
    except OSError as why:
        if path not in _unwritten:
            log.warning("%s cannot be written: %s", path, why.strerror)
        _unwritten.add(path)
        return False
    if path in _unwritten:
        log.info("%s can be written again", path)
        _unwritten.discard(path)
    return True


def unnamed(directory: Path, chunks: Iterable[bytes]) -> int:
    """The descriptor of an open file with these bytes and without a name: private to whoever has it (0600),
    and gone when it is closed. Raises OSError.
    """
    with tempfile.TemporaryFile(dir=directory) as file:
        file.writelines(chunks)
        file.flush()
        return os.dup(file.fileno())


def read_small(path: Path, *, most: int, follow: bool = False) -> bytes:
    """A regular file of at most ``most`` bytes. For places where another user may put something else: a fifo
    does not block, a device is not read, and a symbolic link (as the last part of the path) is followed only
    with ``follow``.

    Raises OSError, whose ``strerror`` is fit for a sentence.
    """
    flags = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        handle = os.open(path, flags if follow else flags | os.O_NOFOLLOW)
    except OSError as why:
        if why.errno == errno.ELOOP and not follow:
            raise OSError(errno.ELOOP, "a symbolic link, not followed here", str(path)) from None
        raise
    try:
        return _bounded(handle, most, str(path))
    finally:
        os.close(handle)


def _bounded(handle: int, most: int, name: str) -> bytes:
    kind = os.fstat(handle).st_mode
    if stat.S_ISDIR(kind):
        raise IsADirectoryError(errno.EISDIR, "a directory", name)
    if not stat.S_ISREG(kind):
        raise OSError(errno.EINVAL, "not a regular file", name)
    with os.fdopen(handle, "rb", closefd=False) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"larger than {most} bytes", name)
    return data


def directory(path: Path, *, mode: int) -> Path:
    """Make ``path`` and what is above it; ``mode`` holds for the last part, also when it already was
    there.
    """
    path.mkdir(parents=True, exist_ok=True)
    if (path.stat().st_mode & 0o7777) != mode:
        path.chmod(mode)
    return path


def set_time(path: Path, epoch: float) -> None:
    """When the content of ``path`` was true last, epoch seconds."""
    os.utime(path, (epoch, epoch))


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

    def acquire(self, *, patience: float = LOCK_PATIENCE) -> int | None:
        """None if the lock is now ours, else the pid that its holder wrote there (0 if it wrote none yet).

        ``patience``: seconds to wait for it. Nobody else may open the file: whoever can, can lock us out.
        """
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        handle = os.open(self._path, flags, 0o600)
        os.fchmod(handle, 0o600)
        if not _flock(handle, time.monotonic() + patience):
            text = os.read(handle, 32).decode(errors="replace").strip()
            os.close(handle)
            return int(text) if text.isdecimal() else 0
        os.ftruncate(handle, 0)
        with contextlib.suppress(OSError):  # a full disk: the lock counts, the number is a courtesy
            os.write(handle, f"{os.getpid()}\n".encode())
        self._handle = handle
        return None


def _flock(handle: int, deadline: float) -> bool:
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                return False
            time.sleep(LOCK_POLL)
        else:
            return True


def locked(path: Path) -> bool:
    """Whether some process holds the lock on ``path``, as the kernel's list of locks says. Opens nothing: any
    user may ask, and asking never stands in the way of the one who wants the lock.

    The file must lie where a file has the number of its file system (tmpfs as /run is, ext4, xfs; not btrfs),
    and its holder in this pid namespace or one below. Raises Unavailable if that cannot be seen.
    """
    try:
        found = path.stat(follow_symlinks=False)
        wanted = f"{os.major(found.st_dev):02x}:{os.minor(found.st_dev):02x}:{found.st_ino}"
        return any(wanted in _exclusive() for _ in range(LOOKS))
    except (FileNotFoundError, NotADirectoryError) as why:
        if why.filename == str(LOCKS):
            raise Unavailable(f"{LOCKS} is not there", hint="mount /proc without subset=pid") from None
        return False
    except OSError as why:
        raise Unavailable(f"{why.filename}: {why.strerror}", hint="ask as root") from None


def _exclusive() -> set[str]:
    """``device:inode`` of the files on which somebody holds an exclusive flock (proc_locks(5))."""
    lines = (line.split() for line in LOCKS.read_text().splitlines())
    return {words[5] for words in lines if words[1:4] == ["FLOCK", "ADVISORY", "WRITE"]}
