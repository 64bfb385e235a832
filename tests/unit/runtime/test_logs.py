import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vmagent.runtime import logs
from vmagent.runtime.logs import Lines


def record(name: str, level: int, message: str, *args: object) -> logging.LogRecord:
    made = logging.LogRecord(name, level, "", 0, message, args, None)
    made.created = 1621612838.2432
    return made


def test_a_line_has_time_level_scope_and_message_behind_tabs() -> None:
    made = record("sds", logging.INFO, "SDS: PUSH\tresource=%s", "default")
    assert logs.stamp(made) == "2021-05-21T16:00:38.243200Z"
    assert logs.text(made) == "info\tsds\tSDS: PUSH\tresource=default"


def test_the_default_scope_is_left_out() -> None:
    assert logs.text(record("default", logging.WARNING, "hm")) == "warn\thm"


def test_an_exception_follows_its_line() -> None:
    try:
        raise RuntimeError("boom")
    except RuntimeError:
        made = logging.LogRecord("agent", logging.ERROR, "", 0, "crashed", (), sys.exc_info())
    first, *more = logs.text(made).split("\n")
    assert (first, more[-1]) == ("error\tagent\tcrashed", "  RuntimeError: boom")


def test_text_of_others_forges_no_line_and_moves_no_cursor() -> None:
    forged = "bad\n2026-11-26T00:00:00.000000Z\tinfo\tforged\r\x1b[2J\u2028x"
    try:
        raise RuntimeError(forged)
    except RuntimeError:
        made = logging.LogRecord("xds", logging.WARNING, "", 0, "Envoy: %s", (forged,), sys.exc_info())
    first, *more = logs.text(made).split("\n")
    assert first == "warn\txds\tEnvoy: bad"
    assert more[0] == "  2026-11-26T00:00:00.000000Z\tinfo\tforged\\r\\x1b[2J\\u2028x"
    assert all(line.startswith("  ") for line in more)
    assert all(line.replace("\t", "").isprintable() for line in more)


def test_a_list_of_mistakes_reads_as_it_was_written() -> None:
    lines = "2 things are wrong with the configuration:\n  /a:1: b\n  /a:2: é"
    assert logs.text(record("default", logging.ERROR, lines)) == f"error\t{lines}"


class Sink:
    def __init__(self, *remarks: str) -> None:
        self.lines: list[tuple[int, str, str]] = []
        self.remarks = list(remarks)
        self.reopened = 0

    def write(self, level: int, stamp: str, text: str) -> str:
        self.lines.append((level, stamp, text))
        return self.remarks.pop(0) if self.remarks else ""

    def reopen(self) -> None:
        self.reopened += 1

    def close(self) -> None:
        self.reopened = -1


def test_every_line_goes_to_every_sink_and_foreign_lines_go_as_they_are() -> None:
    one, two = Sink(), Sink()
    lines = Lines(one, two)
    lines.handle(record("sds", logging.INFO, "hm"))
    lines.pass_on(logging.ERROR, "a\nb")
    lines.reopen()
    assert one.lines == two.lines
    assert one.lines == [
        (logging.INFO, "2021-05-21T16:00:38.243200Z", "info\tsds\thm"),
        (logging.ERROR, "", "a\nb"),
    ]
    assert (one.reopened, two.reopened) == (1, 1)


def test_what_is_wrong_with_one_place_is_told_at_all_of_them_and_never_about_the_telling() -> None:
    journal, file = Sink(), Sink("disk full", "disk full", "disk full")
    Lines(journal, file).handle(record("sds", logging.INFO, "hm"))
    assert [text for _, _, text in journal.lines] == ["info\tsds\thm", "warn\tlogs\tdisk full"]
    assert len(file.lines) == 2


@pytest.mark.effects
def test_the_whole_process_logs_to_standard_output_and_to_the_file(tmp_path: Path) -> None:
    """In a child: the configuration of logging belongs to the process."""
    code = (
        "import logging, sys; from pathlib import Path; from vmagent.runtime import logs\n"
        "logs.configure('warn', file=Path(sys.argv[1]))\n"
        "logging.getLogger('x').info('too quiet'); logging.getLogger('x').warning('hm')\n"
        "logs.pass_on(logging.INFO, 'as it is')\n"
        "logs.configure('info'); logging.getLogger('x').info('now')\n"
    )
    file = tmp_path / "istio.log"
    printed = run(code, str(file))
    assert [line.partition("\t")[2] for line in printed[:1]] == ["warn\tx\thm"]
    assert printed[1] == "as it is"
    assert printed[2].endswith("\tinfo\tx\tnow")
    assert file.read_text().splitlines() == printed[:2]


@pytest.mark.effects
def test_a_standard_output_that_nobody_reads_or_that_is_full_ends_nothing() -> None:
    code = (
        "import logging, os, sys; from vmagent.runtime import logs\n"
        "logs.configure('info'); logging.getLogger('x').info('hm')\n"
        "os.write(2, b'alive')"
    )
    reader, writer = os.pipe()
    os.close(reader)
    full = os.open("/dev/full", os.O_WRONLY)
    for output in (writer, full):
        done = subprocess.run([sys.executable, "-c", code], stdout=output, stderr=subprocess.PIPE, check=True)
        assert done.stderr == b"alive"
        os.close(output)


def run(code: str, *arguments: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()
