"""Looks on a host whether what must be seen is there, and asks again until it is."""

import time
from dataclasses import dataclass
from typing import Final

from lab.hosts.lab import Lab
from lab.scenes.scene import Look

POLL: Final = 0.05
"""Seconds; a change takes a tenth to be pushed."""


@dataclass(frozen=True, slots=True)
class Seen:
    printed: str
    why: str
    """Empty: it is what must be seen."""


def look(lab: Lab, wanted: Look) -> Seen:
    """The last answer before the scene's patience ended, or the first one that is right."""
    deadline = time.monotonic() + wanted.within
    while True:
        done = lab.host(wanted.host).run(["bash", "-c", wanted.run], check=False, cwd="/tmp")
        printed = (done.stdout + done.stderr).strip()
        why = differs(wanted, printed)
        if not why or time.monotonic() > deadline:
            return Seen(printed, why)
        time.sleep(POLL)


def differs(wanted: Look, printed: str) -> str:
    if wanted.answers is not None and set(printed.splitlines()) != wanted.answers:
        return f"expected {' and '.join(sorted(wanted.answers)) or 'nothing'}"
    for text in wanted.contains:
        if text not in printed:
            return f"expected {text!r} in it"
    for text in wanted.lacks:
        if text in printed:
            return f"did not expect {text!r} in it"
    return ""
