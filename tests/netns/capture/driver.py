"""Runs one capture command inside a test machine; can kill itself before any step, as a power cut would."""

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


def main(verb: str, directory: str, env: str = "{}", at: str = "-1") -> int:
    logging.basicConfig(level=logging.INFO)
    where, step = Path(directory), dying(int(at))
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
