import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from vmagent.runtime import files, readiness
from vmagent.runtime.readiness import Readiness


def test_ready_means_that_every_named_gate_is_open() -> None:
    gates = Readiness("identity", "xds")
    assert gates.waiting == {"identity": "starting", "xds": "starting"}
    gates.open("identity")
    gates.close("xds", "connection refused")
    assert gates.gates == {"identity": "open", "xds": "connection refused"}
    gates.open("xds")
    assert gates.waiting == {}


def test_a_gate_may_close_again() -> None:
    gates = Readiness("envoy")
    gates.open("envoy")
    gates.close("envoy", "killed by SIGKILL")
    assert not gates.is_open("envoy")


def test_the_log_says_who_is_missing_and_says_it_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    gates = Readiness("identity", "xds")
    gates.open("identity")
    gates.open("identity")
    gates.close("xds", "away")
    gates.close("xds", "away")
    assert [record.getMessage() for record in caplog.records] == [
        "identity ready; waiting for: xds",
        "xds not ready: away",
    ]


def test_other_processes_read_the_gates_only_while_the_agent_lives(tmp_path: Path) -> None:
    directory = files.directory(tmp_path / "gates", mode=0o755)
    gates = Readiness("identity", "xds", directory=directory)
    gates.open("identity")
    wanted = ("identity", "xds", "dns")
    assert set(readiness.read(directory, wanted).values()) == {"the agent is not running"}
    lock = files.Lock(tmp_path / readiness.LOCK)
    assert lock.acquire() is None
    gates.close("xds", "away")
    assert readiness.read(directory, wanted) == {"identity": "open", "xds": "away", "dns": "starting"}


@pytest.fixture
def gates(tmp_path: Path) -> Path:
    """The directory of an agent that lives."""
    assert files.Lock(tmp_path / readiness.LOCK).acquire() is None
    return files.directory(tmp_path / "gates", mode=0o755)


def link(path: Path) -> None:
    path.with_name("shadow").write_text("root:hunter2")
    path.symlink_to("shadow")


def huge(path: Path) -> None:
    path.write_text("waiting: ")
    os.truncate(path, 1 << 40)


@pytest.mark.parametrize(
    "make",
    [
        link,
        os.mkfifo,
        huge,
        Path.mkdir,
        lambda path: path.write_bytes(b"\x7fELF\x02\x01"),
        lambda path: path.write_bytes(b"waiting: \x1b[2J"),
        lambda path: path.write_bytes(b"waiting: \xff"),
        lambda path: path.write_text("root:hunter2"),
        lambda path: path.write_text("waiting: open"),
        lambda path: path.write_text(""),
    ],
    ids=["link", "fifo", "huge", "directory", "binary", "escape", "not UTF-8", "other", "two words", "empty"],
)
def test_what_is_no_gate_is_unreadable_and_nothing_of_it_is_passed_on(
    gates: Path, make: Callable[[Path], None]
) -> None:
    make(gates / "identity")
    assert readiness.read(gates, ("identity",)) == {"identity": "unreadable"}


def test_a_reason_is_passed_on_as_one_line_that_is_not_too_long(gates: Path) -> None:
    (gates / "config").write_text("waiting: first\nsecond\n")
    (gates / "xds").write_text(f"waiting: {'ä' * 1000}\n")
    assert readiness.read(gates, ("config", "xds")) == {"config": "first", "xds": "ä" * 299 + "…"}


def test_a_full_disk_ends_nothing_and_what_it_withheld_is_written_later(
    gates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    ours = Readiness("identity", "xds", directory=gates)
    ours.open("identity")
    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", full)
        ours.close("identity", "the certificate has expired")
        ours.open("xds")
        ours.publish_again()
    assert ours.gates == {"identity": "the certificate has expired", "xds": "open"}
    assert readiness.read(gates, ("identity", "xds")) == {"identity": "starting", "xds": "starting"}
    ours.publish_again()
    assert readiness.read(gates, ("identity", "xds")) == ours.gates
