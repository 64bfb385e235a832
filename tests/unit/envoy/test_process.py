import errno
import os
from pathlib import Path

import pytest

from vmagent.envoy.launch import refusal
from vmagent.envoy.process import ProcessId
from vmagent.errors import Misconfigured, Unavailable


def test_a_process_is_recognised_by_pid_and_birth() -> None:
    me = ProcessId.of(os.getpid())
    assert me is not None
    assert me.alive()
    assert not ProcessId(me.pid, me.born + 1).alive()
    assert ProcessId.parse(str(me)) == me


@pytest.mark.parametrize("text", ["", "12", "12 x", "x 1.0", "\x00", "0 1.0", "-5 1.0", "99999999999 1.0"])
def test_a_damaged_pid_file_names_nobody(text: str) -> None:
    assert ProcessId.parse(text) is None


@pytest.mark.parametrize(
    ("number", "word"),
    [
        (errno.ENOENT, "no such file"),
        (errno.ENOTDIR, "no such file"),
        (errno.EACCES, "may not execute it"),
        (errno.ENOEXEC, "not a program for this machine"),
    ],
)
def test_a_binary_that_cannot_run_is_something_to_mend(number: int, word: str) -> None:
    refused = refusal(Path("/no/envoy"), OSError(number, os.strerror(number)))
    assert isinstance(refused, Misconfigured)
    assert word in str(refused)
    assert str(refused).startswith("/no/envoy")
    assert refused.hint


def test_a_binary_whose_loader_is_missing_is_not_called_missing() -> None:
    refused = refusal(Path("/etc/hostname"), FileNotFoundError(errno.ENOENT, "no", "/lib64/ld.so"))
    assert "a file that it needs to run is missing" in str(refused)


@pytest.mark.parametrize("number", [errno.ETXTBSY, errno.EAGAIN, errno.ENOMEM])
def test_a_machine_that_is_busy_is_something_to_wait_for(number: int) -> None:
    assert isinstance(refusal(Path("/no/envoy"), OSError(number, os.strerror(number))), Unavailable)
