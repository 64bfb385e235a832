"""What Envoy prints: two pipes, and the thread that empties them into the log.

Owns:      the pipes, the thread, and the level of each line.
Does not:  know where the log is (runtime/logs.py).
Surprise:  Envoy is never handed the journal itself. ``accessLogFile: /dev/stdout``, which is Istio's usual
           one, makes Envoy open its standard output by name, and a stream to the journal is a socket, which
           has none: Envoy would refuse every listener.
           Envoy's log threads wait when a pipe is full. So a thread of its own reads, which the event loop
           cannot hold up, and the watchdog looks after that thread.
           The pipes of an Envoy that outlived its agent have no reader: its lines are lost until the next
           agent opens them again, by /proc, and nobody waits meanwhile.
"""

import contextlib
import fcntl
import logging
import os
import re
import select
from collections.abc import Callable
from typing import Final, Self

from vmagent.runtime.lifecycle import start_thread
from vmagent.runtime.watchdog import Pulse

log = logging.getLogger("envoy")

ROOM: Final = 1 << 20
"""Bytes that a pipe shall hold: what a busy moment of ours may take. The kernel grants as much unasked."""

PIECE: Final = 1 << 16
"""Bytes read at once; also the longest line that is passed on in one piece."""

LAST_WORDS: Final = 1.0
"""Seconds that the thread may take at the end to pass on what is in the pipes."""

_LEVELS: Final = {
    b"trace": logging.DEBUG,
    b"debug": logging.DEBUG,
    b"info": logging.INFO,
    b"warning": logging.WARNING,
    b"error": logging.ERROR,
    b"critical": logging.CRITICAL,
}
_HEAD: Final = re.compile(
    rb"(?:\[\d{4}-\d\d-\d\d [\d:.]+\]\[\d+\]\[|\d{4}-\d\d-\d\dT[\d:.]+Z\t)(%s)[\]\t]" % b"|".join(_LEVELS)
)
"""As our bootstrap asks for, time, tab, level, tab, and, until Envoy has read that,
``[2026-11-25 20:08:12.301][51][critical][main] ...``.
"""

Take = Callable[[int, str], None]
"""Gets a level of Python's logging, and one or more lines of that level."""


class Lines:
    """Cuts a stream into lines of one level each. Pure."""

    def __init__(self) -> None:
        self._rest = b""
        self._level = logging.INFO

    def feed(self, data: bytes) -> list[tuple[int, str]]:
        """Complete lines, neighbours of the same level together. A line that does not say its level belongs
        to the one before it.
        """
        whole, end, self._rest = (self._rest + data).rpartition(b"\n")
        if len(self._rest) >= PIECE:
            whole, self._rest = whole + end + self._rest, b""
        return self._grouped(whole) if whole else []

    def rest(self) -> list[tuple[int, str]]:
        """What came without an end."""
        rest, self._rest = self._rest, b""
        return self._grouped(rest) if rest else []

    def _grouped(self, whole: bytes) -> list[tuple[int, str]]:
        groups: list[tuple[int, list[bytes]]] = []
        for line in whole.split(b"\n"):
            if head := _HEAD.match(line):
                self._level = _LEVELS[head[1]]
            if not groups or groups[-1][0] != self._level:
                groups.append((self._level, []))
            groups[-1][1].append(line)
        return [(level, b"\n".join(lines).decode(errors="replace")) for level, lines in groups]


class Output:
    """For every Envoy of one agent, one after the other, while it is entered."""

    def __init__(self, take: Take) -> None:
        self._take = take
        self.pulse = Pulse("envoy-output")
        self.streams: tuple[int, int] | None = None
        """What an Envoy's standard output and error are to be. None: those of the agent."""
        self._closing = False
        self._arriving: list[int] = []

    def __enter__(self) -> Self:
        (reader, stdout), (reader_too, stderr) = _pipe(), _pipe()
        self.streams = stdout, stderr
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._thread = start_thread(self.pulse.name, lambda: self._read(reader, reader_too))
        return self

    def __exit__(self, *_: object) -> None:
        """What has been printed is still passed on."""
        assert self.streams is not None
        self._closing = True
        self._ring()
        self._thread.join(LAST_WORDS)
        for writer in self.streams:
            os.close(writer)
        self.streams = None

    def attach(self, pid: int) -> None:
        """Read what that process prints, which was started with pipes of an earlier agent."""
        for number in (1, 2):
            try:
                self._arriving.append(os.open(f"/proc/{pid}/fd/{number}", os.O_RDONLY | os.O_CLOEXEC))
            except OSError as why:
                log.warning("what Envoy prints is lost until it is started again: %s", why)
        self._ring()

    def _ring(self) -> None:
        os.eventfd_write(self._bell, 1)

    def _read(self, *readers: int) -> None:
        self.pulse.begin(self._ring)
        streams = {reader: Lines() for reader in readers}
        poll = select.poll()
        for number in (self._bell, *readers):
            poll.register(number, select.POLLIN)
        while not self._closing:
            for number, _ in poll.poll():
                if number == self._bell:
                    os.eventfd_read(number)
                    self._welcome(poll, streams)
                elif data := os.read(number, PIECE):
                    self._pass(streams[number].feed(data))
                else:  # of an adopted Envoy that has ended; our own we hold open ourselves
                    poll.unregister(number)
                    self._pass(streams.pop(number).rest())
                    os.close(number)
            self.pulse.answer()
        self.pulse.end()
        for reader, lines in streams.items():
            self._empty(reader, lines)
            os.close(reader)

    def _welcome(self, poll: select.poll, streams: dict[int, Lines]) -> None:
        while self._arriving:
            reader = self._arriving.pop()
            streams[reader] = Lines()
            poll.register(reader, select.POLLIN)

    def _empty(self, reader: int, lines: Lines) -> None:
        os.set_blocking(reader, False)
        with contextlib.suppress(BlockingIOError):
            for _ in range(ROOM // PIECE):
                if not (data := os.read(reader, PIECE)):
                    break
                self._pass(lines.feed(data))
        self._pass(lines.rest())

    def _pass(self, groups: list[tuple[int, str]]) -> None:
        for level, text in groups:
            self._take(level, text)


def _pipe() -> tuple[int, int]:
    reader, writer = os.pipe2(os.O_CLOEXEC)
    with contextlib.suppress(OSError):  # this user has large pipes enough: the usual 64 KiB will do
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, ROOM)
    return reader, writer
