import os
import stat
from pathlib import Path

import pytest

from vmagent.runtime import files


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_replaced_whole_with_the_mode_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    files.write(path, b"old", mode=0o644)
    files.write(path, b"new", mode=0o600)
    assert (path.read_bytes(), mode(path)) == (b"new", 0o600)
    assert os.listdir(tmp_path) == ["key.pem"]


def test_a_write_that_fails_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "key.pem"
    files.write(path, b"old", mode=0o600)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        files.write(path, b"new", mode=0o600)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["key.pem"]


def test_a_directory_gets_its_mode_also_when_it_was_there(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(mode=0o755)
    assert mode(files.directory(tmp_path / "run", mode=0o700)) == 0o700
    assert mode(files.directory(tmp_path / "a" / "b", mode=0o750)) == 0o750


def test_one_holder_at_a_time_and_the_second_learns_its_pid(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not files.locked(path)
    first = files.Lock(path)
    assert first.acquire() is None
    assert files.Lock(path).acquire() == os.getpid()
    assert files.locked(path)
