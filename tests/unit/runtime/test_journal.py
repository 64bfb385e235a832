"""The journal's side of the stream is a socket that the test reads, or does not."""

import logging
import os
import socket
from collections.abc import Iterator

import pytest

from vmagent.runtime.journal import Journal, is_journal, priority


@pytest.fixture
def stream() -> Iterator[tuple[Journal, socket.socket]]:
    """What writes, and the end that the journal reads."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    with ours, theirs:
        journal = Journal(ours.fileno())
        yield journal, theirs
        journal.close()


def test_a_stream_is_the_journal_if_it_is_the_one_that_systemd_announced() -> None:
    reader, writer = os.pipe()
    found = os.fstat(writer)
    assert is_journal(writer, f"{found.st_dev}:{found.st_ino}")
    for announced in ("", f"{found.st_dev}:{found.st_ino + 1}", "nonsense"):
        assert not is_journal(writer, announced)
    os.close(reader)
    os.close(writer)
    assert not is_journal(writer, f"{found.st_dev}:{found.st_ino}")


@pytest.mark.parametrize(
    ("level", "number"),
    [
        (logging.CRITICAL, 2),
        (logging.ERROR, 3),
        (logging.WARNING, 4),
        (logging.INFO, 6),
        (logging.DEBUG, 7),
        (5, 7),
    ],
)
def test_levels_are_those_of_syslog(level: int, number: int) -> None:
    assert priority(level) == number


def test_each_line_has_a_priority_and_no_time(stream: tuple[Journal, socket.socket]) -> None:
    journal, theirs = stream
    assert journal.write(logging.ERROR, "2026-11-25T20:08:12Z", "error\tagent\tcrashed\nTraceback") == ""
    assert theirs.recv(1000) == b"<3>error\tagent\tcrashed\n<3>Traceback\n"


def test_the_time_that_a_foreign_line_bears_is_left_out_too(
    stream: tuple[Journal, socket.socket],
) -> None:
    journal, theirs = stream
    journal.write(logging.INFO, "", '2026-11-25T20:08:12.301466Z\tinfo\tenvoy main\tx\n[2026-11-25] "GET /"')
    assert theirs.recv(1000) == b'<6>info\tenvoy main\tx\n<6>[2026-11-25] "GET /"\n'


def test_a_journal_that_takes_no_more_holds_nobody_up_and_what_is_missing_is_counted(
    stream: tuple[Journal, socket.socket],
) -> None:
    journal, theirs = stream
    written = 0
    while "missing" not in (said := journal.write(logging.INFO, "", "x" * 999)):
        assert said == ""
        written += 1
        if written == 5000:
            break
    assert written == 5000, "nothing was read, so nothing can have been taken again"
    taken = b""
    while chunk := read(theirs):
        taken += chunk
    said = journal.write(logging.INFO, "", "after")
    whole = [line for line in taken.split(b"\n") if len(line) == 999 + len("<6>")]
    assert said == f"the journal took no more: {written - len(whole)} lines are missing before this one"
    assert read(theirs).strip() == b"<6>after", "a line that was cut ends before the next begins"
    assert journal.write(logging.INFO, "", "and so on") == ""


def read(sock: socket.socket) -> bytes:
    try:
        return sock.recv(1 << 20)
    except BlockingIOError:
        return b""
