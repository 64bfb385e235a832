"""Log lines to systemd's journal, with a priority each (sd-daemon(3), systemd.exec(5): JOURNAL_STREAM).

Owns:      whether a stream of ours leads to the journal, and the ``<N>`` in front of each line.
Does not:  know how a line is made (logs.py).
Surprise:  it never waits. A journal that is stopped or overrun costs lines, which are counted and told, and
           not the service that writes them.
"""

import logging
import os
import re
import socket
from typing import Final

LONGEST_PIECE: Final = 1 << 16
"""Bytes sent at once: well below what a stream holds, so that a line is taken whole or not at all."""

_STAMP: Final = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z\t")
"""Of lines that somebody else made, in our shape."""


def is_journal(stream: int, announced: str) -> bool:
    """Whether the file descriptor is what $JOURNAL_STREAM (``device:inode``) says leads to the journal. A
    program that was started with the variable may write elsewhere.
    """
    try:
        found = os.fstat(stream)
    except OSError:
        return False
    return bool(announced) and announced == f"{found.st_dev}:{found.st_ino}"


def priority(level: int) -> int:
    """Of syslog(3), for a level of Python's logging."""
    for least, number in ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6)):
        if level >= least:
            return number
    return 7


class Journal:
    """A sink of logs.py. The journal dates each line itself, so the stamp is left out."""

    def __init__(self, stream: int) -> None:
        self._socket = socket.socket(fileno=os.dup(stream))
        self._cut = False
        self._missing = 0

    def write(self, level: int, stamp: str, text: str) -> str:
        lines = [line if stamp else line[_dated(line) :] for line in text.split("\n")]
        mark = f"<{priority(level)}>"
        data = "".join(f"{mark}{line}\n" for line in lines).encode(errors="replace")
        return self._sent(data, len(lines))

    def reopen(self) -> None:
        """There is nothing that somebody could have moved away."""

    def close(self) -> None:
        self._socket.close()

    def _sent(self, data: bytes, lines: int) -> str:
        try:
            for start in range(0, len(data), LONGEST_PIECE):
                self._send(data[start : start + LONGEST_PIECE])
        except OSError:
            self._missing += lines
            return ""
        missing, self._missing = self._missing, 0
        return f"the journal took no more: {missing} lines are missing before this one" if missing else ""

    def _send(self, data: bytes) -> None:
        """Raises OSError if not all of it was taken."""
        whole = b"\n" + data if self._cut else data
        sent = self._socket.send(whole, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        self._cut = sent < len(whole)
        if self._cut:
            raise BlockingIOError


def _dated(line: str) -> int:
    """Length of the time in front of it."""
    found = _STAMP.match(line)
    return found.end() if found else 0
