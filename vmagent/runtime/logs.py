"""Log lines in the shape an operator of Istio greps for: time, level, scope, message, each behind a tab.

The scope is the logger's name; ``default`` is left out. Labels stand in the message as ``key=value`` behind a
tab. They go to standard output, and to a file if one is asked for. Where standard output is the journal, each
has a priority, and no time, which the journal has itself.

Surprise: what goes wrong with one place is told at the others, once; it never reaches whoever logs.
"""

import logging
import os
import sys
import time
from pathlib import Path
from typing import Final, Protocol

from vmagent.runtime.journal import Journal, is_journal
from vmagent.runtime.logfile import LogFile
from vmagent.runtime.plain import plain

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}
_WORDS = {logging.DEBUG: "debug", logging.INFO: "info", logging.WARNING: "warn", logging.ERROR: "error"}
_TRACEBACK: Final = logging.Formatter()


class Sink(Protocol):
    def write(self, level: int, stamp: str, text: str) -> str:
        """One or more lines, without a line end behind the last. ``stamp`` is their time, or empty if they
        have it in them. Returns what is to be told about this sink at all of them, mostly nothing.
        """
        ...

    def reopen(self) -> None:
        """Somebody may have moved the file away."""
        ...

    def close(self) -> None: ...


class _Stream:
    """Standard output that is no journal: a terminal, a container's, a file that a shell has opened."""

    def __init__(self, stream: int) -> None:
        self._stream = stream

    def write(self, level: int, stamp: str, text: str) -> str:
        data = memoryview((f"{stamp}\t{text}\n" if stamp else f"{text}\n").encode(errors="replace"))
        try:
            while data:
                data = data[os.write(self._stream, data) :]
        except OSError:  # a full disk, or nobody reads: a line less, and nobody who could be told
            return ""
        return ""

    def reopen(self) -> None:
        """Whoever opened it looks after it."""

    def close(self) -> None:
        """The same."""


class Lines(logging.Handler):
    """Hands every line to every sink. Any thread may log."""

    def __init__(self, *sinks: Sink) -> None:
        super().__init__()
        self._sinks = sinks

    def emit(self, record: logging.LogRecord) -> None:
        self._deliver(record.levelno, stamp(record), text(record))

    def pass_on(self, level: int, lines: str) -> None:
        """Lines that somebody else made, their time included."""
        self.acquire()
        try:
            self._deliver(level, "", lines)
        finally:
            self.release()

    def reopen(self) -> None:
        self.acquire()
        try:
            for sink in self._sinks:
                sink.reopen()
        finally:
            self.release()

    def close(self) -> None:
        super().close()
        for sink in self._sinks:
            sink.close()

    def _deliver(self, level: int, when: str, lines: str) -> None:
        for sink in self._sinks:
            if remark := sink.write(level, when, lines):
                self._tell_all(remark)

    def _tell_all(self, remark: str) -> None:
        record = logging.makeLogRecord({"name": "logs", "levelno": logging.WARNING, "msg": remark})
        for sink in self._sinks:
            sink.write(record.levelno, stamp(record), text(record))


def stamp(record: logging.LogRecord) -> str:
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
    return f"{seconds}.{int(record.created % 1 * 1e6):06d}Z"


def text(record: logging.LogRecord) -> str:
    """Everything but the time. Lines behind the first, of an exception say, are indented: whatever is not
    begins with a level, and nobody's text can forge one.
    """
    fields = [_WORDS.get(record.levelno, "error")]
    if record.name not in ("root", "default"):
        fields.append(record.name)
    line = "\t".join((*fields, record.getMessage()))
    return plain(f"{line}\n{_TRACEBACK.formatException(record.exc_info)}" if record.exc_info else line)


_lines = Lines()
_as: tuple[str, str, Path | None] = ("", "", None)


def configure(level: str, *, journal: str = "", file: Path | None = None) -> None:
    """From now on, for the whole process; the same again changes nothing. ``journal`` is $JOURNAL_STREAM."""
    global _lines, _as
    if _as == (level, journal, file):
        return
    stream = sys.stdout.fileno()
    first: Sink = Journal(stream) if is_journal(stream, journal) else _Stream(stream)
    _lines, _as = Lines(first, *([LogFile(file)] if file else [])), (level, journal, file)
    logging.basicConfig(level=LEVELS[level], handlers=[_lines], force=True)
    logging.getLogger("asyncio").setLevel(logging.WARNING)


def pass_on(level: int, lines: str) -> None:
    """Lines of a child of ours, as they are. Nowhere before ``configure``."""
    _lines.pass_on(level, lines)


def reopen() -> None:
    """Write to the file that has the name now: somebody moved the other one away."""
    _lines.reopen()
