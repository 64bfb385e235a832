"""Runs one capture command inside a test machine. Before any step it can kill itself, as a power cut would,
or find the disk full that the manifest lies on.
"""

import errno
import itertools
import json
import logging
import os
import signal
import sys
from pathlib import Path

from vmagent.capture import apply, undo, verify
from vmagent.capture.undo import Step
from vmagent.errors import VmagentError


def dying(at: int) -> Step:
    left = at

    def step(name: str) -> None:
        nonlocal left
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1

    return step


def filling(directory: Path, before: str) -> Step:
    def step(name: str) -> None:
        if name == before:
            fill(directory)

    return step


def fill(directory: Path) -> None:
    """Of a file system that is small: not even an empty file may be had afterwards."""
    for number in itertools.count():
        try:
            (directory / f"filler-{number}").write_bytes(b"x" * 4096)
        except OSError as why:
            if why.errno != errno.ENOSPC:
                raise
            return


def main(verb: str, directory: str, env: str = "{}", at: str = "-1") -> int:
    logging.basicConfig(level=logging.INFO)
    where = Path(directory)
    step = filling(where, at.removeprefix("full:")) if at.startswith("full:") else dying(int(at))
    try:
        match verb:
            case "apply":
                done = apply.apply(json.loads(env), where, step=step)
                print(json.dumps({"changed": done.changed, "notes": done.notes}))
            case "remove":
                print(json.dumps({"changed": undo.remove(where, step=step).changed}))
            case "purge":
                print(json.dumps({"changed": undo.remove(where, purge=True).changed}))
            case "verify":
                verdict = verify.verify(where)
                print(json.dumps({"captured": verdict.manifest is not None, "drift": verdict.drift}))
    except VmagentError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
