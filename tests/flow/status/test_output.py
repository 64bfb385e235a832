"""What a command does when what it says cannot be written, and when it fails as it should not."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

EX_IOERR = 74


@pytest.mark.parametrize("words", ["--version", "--help", "config show --help"])
def test_a_full_disk_is_told_in_a_line(words: str) -> None:
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "vmagent", *words.split()]
        done = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (
        EX_IOERR,
        "vmagent: standard output: No space left on device\n",
    )


def test_a_bug_is_told_with_where_it_is_and_has_an_exit_status_of_its_own() -> None:
    code = "import sys; from vmagent.cli import main; main.cli = lambda **_: 1 / 0; main.main()"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 70
    assert "Traceback" in done.stderr
    assert "ZeroDivisionError" in done.stderr
