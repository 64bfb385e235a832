"""``lab up SCENARIO``, as a newcomer types it."""

import subprocess
import sys
from pathlib import Path

from lab.hosts.lab import Lab

LAB = str(Path(sys.executable).with_name("lab"))
NAME = "standing"


def lab(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LAB, "--name", NAME, *words], capture_output=True, text=True, timeout=120, check=False
    )


def test_a_story_is_raised_shown_and_left_standing() -> None:
    try:
        done = lab("up", "lab/scenarios/12-unix-socket")
        assert done.returncode == 0, done.stdout + done.stderr
        line = "exec client -- curl -sS http://example.unix.local/"
        assert f"$ .venv/bin/lab --name {NAME} {line}\n    a site for anybody" in done.stdout
        assert Lab(NAME).is_up
        assert lab(*line.split()).stdout == "a site for anybody\n"
    finally:
        lab("down")
    assert not Lab(NAME).is_up


def test_a_story_that_there_is_not_is_answered_with_those_that_there_are() -> None:
    done = lab("up", "99")
    assert done.returncode == 1
    assert "no scenario begins with '99'" in done.stderr
    assert "09-tls-routing" in done.stderr
