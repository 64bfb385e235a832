import errno
import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from vmagent.errors import Unavailable
from vmagent.runtime import files

NOBODY: Final = 65534


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


def test_what_only_informs_others_may_fail_is_told_once_and_is_told_when_it_works_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    path = tmp_path / "status.json"
    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", full)
        assert [files.publish(path, b"new", mode=0o644) for _ in range(3)] == [False] * 3
    assert os.listdir(tmp_path) == []
    assert files.publish(path, b"new", mode=0o644)
    assert [record.getMessage() for record in caplog.records] == [
        f"{path} cannot be written: No space left on device",
        f"{path} can be written again",
    ]


def full(_: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def link(path: Path) -> None:
    secret = path.with_name("shadow")
    secret.write_text("root:hunter2")
    path.symlink_to(secret)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (link, "a symbolic link, not followed here"),
        (os.mkfifo, "not a regular file"),
        (Path.mkdir, "a directory"),
        (lambda path: path.write_bytes(b"x" * 11), "larger than 10 bytes"),
    ],
    ids=["link", "fifo", "directory", "large"],
)
def test_what_is_no_small_file_is_not_read(tmp_path: Path, make: Callable[[Path], None], says: str) -> None:
    make(tmp_path / "gate")
    with pytest.raises(OSError) as refused:
        files.read_small(tmp_path / "gate", most=10)
    assert refused.value.strerror == says


def test_a_small_file_is_read_and_behind_a_link_only_if_asked_for(tmp_path: Path) -> None:
    link(tmp_path / "gate")
    assert files.read_small(tmp_path / "shadow", most=12) == b"root:hunter2"
    assert files.read_small(tmp_path / "gate", most=12, follow=True) == b"root:hunter2"
    (tmp_path / "zero").symlink_to("/dev/zero")
    with pytest.raises(OSError, match="not a regular file"):
        files.read_small(tmp_path / "zero", most=12, follow=True)


def test_one_holder_at_a_time_and_the_second_learns_its_pid(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not files.locked(path)
    first = files.Lock(path)
    assert first.acquire() is None
    assert files.Lock(path).acquire(patience=0) == os.getpid()
    assert files.locked(path)


def test_nobody_else_may_open_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch(mode=0o644)
    assert files.Lock(path).acquire() is None
    assert mode(path) == 0o600


def test_a_lock_that_is_about_to_be_free_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lock"
    other = path.open("w")
    fcntl.flock(other, fcntl.LOCK_SH)
    monkeypatch.setattr(time, "sleep", lambda _: other.close())
    assert files.Lock(path).acquire() is None


def test_a_full_disk_does_not_keep_the_lock_from_us(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(_: int, __: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as disk:
        disk.setattr(os, "write", no_room)
        lock = files.Lock(tmp_path / "lock")
        assert lock.acquire() is None
    assert files.locked(tmp_path / "lock")
    assert files.Lock(tmp_path / "lock").acquire(patience=0) == 0


def test_whoever_looks_at_a_lock_neither_opens_nor_takes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "lock"
    with path.open("w") as other:
        fcntl.flock(other, fcntl.LOCK_SH)  # what anybody could do who may read it
        assert not files.locked(path)
    assert files.Lock(path).acquire() is None
    plain = os.open

    def refuse(what: Path, flags: int, mode: int = 0o777) -> int:
        assert what != path
        return plain(what, flags, mode)

    monkeypatch.setattr(os, "open", refuse)
    assert files.locked(path)


def test_any_user_can_see_whether_the_lock_is_held() -> None:
    """As nobody when the tests run as root; the file cannot be opened by its owner either."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        path = Path(name, "lock")
        lock = files.Lock(path)
        path.touch()
        assert as_nobody(lambda: not files.locked(path))
        assert lock.acquire() is None
        path.chmod(0)
        assert as_nobody(lambda: files.locked(path))


def test_where_nothing_can_be_seen_it_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lock").touch()
    monkeypatch.setattr(files, "LOCKS", tmp_path / "locks")
    with pytest.raises(Unavailable, match="locks is not there"):
        files.locked(tmp_path / "lock")


def as_nobody(claim: Callable[[], bool]) -> bool:
    child = os.fork()
    if child == 0:
        status = 2
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            status = 0 if claim() else 1
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
