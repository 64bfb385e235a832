"""A log file is bounded, follows whoever rotates it, and never stands in anybody's way."""

import errno
import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from vmagent.runtime.logfile import KEPT, LARGEST, LogFile


def say(file: LogFile, text: str) -> str:
    return file.write(logging.INFO, "T", text)


def test_a_line_has_its_time_and_a_foreign_one_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "istio.log"
    file = LogFile(path)
    say(file, "one")
    file.write(logging.INFO, "", "two\nthree")
    assert path.read_text() == "T\tone\ntwo\nthree\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_size_and_number_are_bounded_and_the_newest_lines_are_kept(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "log", largest=100, kept=2)
    for number in range(100):
        say(file, f"line {number:02d}")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["log", "log.1", "log.2"]
    assert all(path.stat().st_size <= 100 for path in tmp_path.iterdir())
    lines = [line for name in reversed(names) for line in (tmp_path / name).read_text().splitlines()]
    assert lines == [f"T\tline {number:02d}" for number in range(100 - len(lines), 100)]
    assert len(lines) > 20


def test_what_is_shipped_stays_below_fifty_mebibytes() -> None:
    assert LARGEST * (KEPT + 1) == 50 << 20


@pytest.mark.parametrize("way", ["create", "copytruncate", "remove"])
def test_whoever_rotates_it_is_followed_without_a_signal(tmp_path: Path, way: str) -> None:
    path, old = tmp_path / "log", tmp_path / "log.old"
    file = LogFile(path)
    say(file, "before")
    if way == "create":
        path.rename(old)
        path.touch()
    elif way == "copytruncate":
        old.write_bytes(path.read_bytes())
        os.truncate(path, 0)
    else:
        path.unlink()
    assert say(file, "after") == ""
    assert path.read_text() == "T\tafter\n"


def test_a_file_that_somebody_moved_into_another_file_system_is_opened_again_on_request(
    tmp_path: Path,
) -> None:
    path = tmp_path / "log"
    file = LogFile(path)
    say(file, "before")
    file.reopen()
    file.reopen()
    say(file, "after")
    assert path.read_text() == "T\tbefore\nT\tafter\n"


def test_a_missing_directory_is_told_once_and_once_more_when_it_is_there(tmp_path: Path) -> None:
    path = tmp_path / "log" / "istio.log"
    file = LogFile(path)
    assert (
        say(file, "1") == f"{path} cannot be written: No such file or directory; logging goes on without it"
    )
    assert [say(file, "2\n3"), say(file, "4")] == ["", ""]
    path.parent.mkdir()
    assert say(file, "5") == f"{path} can be written again; 4 lines are missing there"
    assert say(file, "6") == ""
    assert path.read_text() == "T\t5\nT\t6\n"


def test_a_full_disk_costs_lines_and_the_first_line_after_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "log"
    file = LogFile(path)
    say(file, "before")
    with monkeypatch.context() as disk:
        disk.setattr(os, "write", half(os.write))
        assert "No space left on device" in say(file, "cut off here")
        disk.setattr(os, "write", full)
        assert say(file, "lost") == ""
    assert "2 lines are missing" in say(file, "after")
    before, cut, after = path.read_text().splitlines()
    assert (before, after) == ("T\tbefore", "T\tafter")
    assert "T\tcut off here".startswith(cut)


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    keep = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert "not a regular file" in say(LogFile(tmp_path / "fifo"), "x")
    finally:
        os.close(keep)
    assert "No such device" in say(LogFile(tmp_path / "fifo"), "x")
    assert "Is a directory" in say(LogFile(tmp_path), "x")


def test_where_names_cannot_change_the_file_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "rename", forbidden)
    file = LogFile(tmp_path / "log", largest=100)
    for number in range(100):
        assert say(file, f"line {number:02d}") == ""
    assert (tmp_path / "log").stat().st_size <= 100
    assert (tmp_path / "log").read_text().endswith("line 99\n")


def test_a_symbolic_link_stays_one_when_what_it_leads_to_is_rotated(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    (tmp_path / "log").symlink_to(there / "real")
    file = LogFile(tmp_path / "log", largest=30)
    for number in range(9):
        say(file, f"line {number}")
    assert (tmp_path / "log").is_symlink()
    assert {"real", "real.1"} <= {path.name for path in there.iterdir()}


def half(write: Callable[[int, bytes], int]) -> Callable[[int, bytes], int]:
    return lambda handle, data: write(handle, data[: len(data) // 2])


def full(handle: int, data: bytes) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")
