"""The command as it is installed: with the interpreter and the byte code of the package."""

import subprocess
import time
from pathlib import Path

GOAL = 0.15
"""Seconds. The best of a few: the machine that runs the tests has other things to do."""


def test_the_version_is_told_quickly(tree: Path) -> None:
    python, vmagent = tree / "usr/lib/istio-agent/bin/python3", tree / "usr/bin/vmagent"
    command: list[Path | str] = [python, "-I", vmagent, "--version"]
    taken = []
    for _ in range(7):
        began = time.monotonic()
        told = subprocess.run(command, capture_output=True, text=True, check=True, env={}).stdout
        taken.append(time.monotonic() - began)
        assert told.startswith("vmagent, version ")
    assert min(taken) <= GOAL
