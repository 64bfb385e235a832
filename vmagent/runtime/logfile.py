"""A log file that needs nobody: it rotates by itself, and follows whoever else rotates it.

Owns:      the file, its size and number, and that a line goes to the file which has the name now.
Does not:  know how a line is made (logs.py).
Surprise:  no disk, directory or file that is full, missing or forbidden stops or ends anything. It is told
           once, and once more when lines arrive again.

Rotated in process, not by logrotate: that looks once a day, by when a loop at level debug has filled the
disk, and it may not be installed.
"""

import contextlib
import errno
import os
import stat
from pathlib import Path
from typing import Final

LARGEST: Final = 10 << 20
"""Bytes of one file."""

KEPT: Final = 4
"""Older ones beside it, of which NAME.1 is the newest: with LARGEST, 50 MiB in all."""

MODE: Final = 0o640
"""No secret is ever logged, but whom this machine talks to is nobody else's business."""


class LogFile:
    """A sink of logs.py."""

    def __init__(self, path: Path, *, largest: int = LARGEST, kept: int = KEPT) -> None:
        self._path = path
        self._largest = largest
        self._kept = kept
        self._handle: int | None = None
        self._cut = False
        self._missing = 0

    def write(self, level: int, stamp: str, text: str) -> str:
        data = (f"{stamp}\t{text}\n" if stamp else f"{text}\n").encode(errors="replace")
        try:
            self._append(data)
        except OSError as why:
            self._missing += data.count(b"\n")
            return self._trouble(why) if self._missing == data.count(b"\n") else ""
        missing, self._missing = self._missing, 0
        return f"{self._path} can be written again; {missing} lines are missing there" if missing else ""

    def reopen(self) -> None:
        self.close()

    def close(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _trouble(self, why: OSError) -> str:
        return f"{self._path} cannot be written: {why.strerror}; logging goes on without it"

    def _append(self, data: bytes) -> None:
        handle = self._current(len(data))
        whole = b"\n" + data if self._cut else data
        written = os.write(handle, whole)
        self._cut = written < len(whole)
        if self._cut:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _current(self, more: int) -> int:
        """The file that has the name now, with room for so many bytes."""
        handle = self._handle if self._handle is not None else self._open()
        ours = os.fstat(handle)
        try:
            named = os.stat(self._path)
        except FileNotFoundError:
            named = None
        if named is None or (named.st_dev, named.st_ino) != (ours.st_dev, ours.st_ino):
            self.reopen()
            handle = self._open()
        elif ours.st_size and ours.st_size + more > self._largest:
            handle = self._rotated(handle)
        return handle

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
        try:
            handle = os.open(self._path, flags | os.O_CREAT | os.O_EXCL, MODE)
            os.fchmod(handle, MODE)
        except FileExistsError:  # also a link that leads nowhere yet
            handle = os.open(self._path, flags | os.O_CREAT, MODE)
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise OSError(errno.EINVAL, "not a regular file")
        self._handle, self._cut = handle, False
        return handle

    def _rotated(self, handle: int) -> int:
        """Where the directory may not be changed, the file begins anew: its size is bounded at any rate."""
        name = os.path.realpath(self._path)
        try:
            for number in range(self._kept - 1, 0, -1):
                with contextlib.suppress(FileNotFoundError):
                    os.rename(f"{name}.{number}", f"{name}.{number + 1}")
            os.rename(name, f"{name}.1")
        except OSError:
            os.ftruncate(handle, 0)
            return handle
        self.reopen()
        return self._open()
