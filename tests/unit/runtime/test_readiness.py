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
