"""What Envoy prints, cut into lines that have a level."""

import logging
import os
import threading

import pytest

from vmagent.envoy.output import PIECE, Lines, Output

OURS = b"2026-11-25T20:08:12.301466Z\twarning\tenvoy config x.cc:1\tgRPC config rejected\tthread=7"
EARLY = b"[2026-11-25 20:08:12.301][51][critical][main] [source/server/server.cc:449] error initializing"


def test_a_line_says_its_level_in_either_shape() -> None:
    assert Lines().feed(OURS + b"\n" + EARLY + b"\n") == [
        (logging.WARNING, OURS.decode()),
        (logging.CRITICAL, EARLY.decode()),
    ]


@pytest.mark.parametrize(
    ("word", "level"),
    [
        ("trace", logging.DEBUG),
        ("debug", logging.DEBUG),
        ("info", logging.INFO),
        ("error", logging.ERROR),
    ],
)
def test_every_level_of_envoys_has_one_of_ours(word: str, level: int) -> None:
    line = f"2026-11-25T20:08:12.301466Z\t{word}\tenvoy main x.cc:1\tm\tthread=7"
    assert Lines().feed(f"{line}\n".encode()) == [(level, line)]


def test_a_line_without_a_level_belongs_to_the_one_before_it_also_across_reads() -> None:
    lines = Lines()
    assert lines.feed(b"first of all\n") == [(logging.INFO, "first of all")]
    assert lines.feed(EARLY + b"\n  goo.gle/debugonly\n") == [
        (logging.CRITICAL, EARLY.decode() + "\n  goo.gle/debugonly")
    ]
    assert lines.feed(b"and more\n") == [(logging.CRITICAL, "and more")]


def test_it_does_not_matter_how_the_stream_is_cut() -> None:
    text = OURS + b"\nmore\n" + EARLY + b"\n"
    lines = Lines()
    found = [part for byte in text for part in lines.feed(bytes([byte]))]
    assert found == [
        (logging.WARNING, OURS.decode()),
        (logging.WARNING, "more"),
        (logging.CRITICAL, EARLY.decode()),
    ]


def test_a_line_without_an_end_is_passed_on_in_pieces_and_at_the_end() -> None:
    lines = Lines()
    assert lines.feed(b"x" * (PIECE - 1)) == []
    assert lines.feed(b"xy") == [(logging.INFO, "x" * PIECE + "y")]
    assert lines.feed(b"rest") == []
    assert lines.rest() == [(logging.INFO, "rest")]
    assert lines.rest() == []


def test_bytes_that_are_no_text_are_shown_as_such() -> None:
    assert Lines().feed(b"\xff\n") == [(logging.INFO, "\ufffd")]


class Taken:
    def __init__(self) -> None:
        self.groups: list[tuple[int, str]] = []
        self.came = threading.Condition()

    def __call__(self, level: int, text: str) -> None:
        with self.came:
            self.groups.append((level, text))
            self.came.notify()

    def until(self, text: str) -> None:
        with self.came:
            assert self.came.wait_for(lambda: any(text in told for _, told in self.groups), 10)


def test_both_streams_are_read_each_with_a_level_of_its_own_and_nothing_is_lost_at_the_end() -> None:
    taken = Taken()
    with Output(taken) as output:
        assert output.streams is not None
        stdout, stderr = output.streams
        os.write(stderr, EARLY + b"\n")
        taken.until("critical")
        os.write(stdout, b'"GET /" 200\n')
        os.write(stdout, b"no end")
    assert (logging.INFO, '"GET /" 200') in taken.groups
    assert (logging.INFO, "no end") in taken.groups
    assert output.streams is None


def test_the_thread_gives_a_sign_of_life_and_none_once_it_has_ended() -> None:
    taken = Taken()
    with Output(taken) as output:
        assert output.streams is not None
        os.write(output.streams[0], b"hm\n")
        taken.until("hm")
        output.pulse.ask()
        os.write(output.streams[0], b"next\n")
        taken.until("next")
        os.write(output.streams[0], b"and next\n")
        taken.until("and next")
        assert not output.pulse.is_missing
    output.pulse.ask()
    assert not output.pulse.is_missing


def test_a_log_that_is_slow_fills_the_pipe_only_after_a_mebibyte() -> None:
    go_on = threading.Event()

    def slow(level: int, text: str) -> None:
        assert go_on.wait(10)

    with Output(slow) as output:
        assert output.streams is not None
        os.set_blocking(output.streams[0], False)
        taken = 0
        while taken < 1 << 20:
            taken += os.write(output.streams[0], b"x" * 4095 + b"\n")
        go_on.set()
