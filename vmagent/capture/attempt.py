"""One ``capture apply`` as a child of the process that holds: what it loads (yaml, python-iptables) must
not stay in memory.

Owns:      starting it, its limit in time, and which of its words may be published.
"""

import contextlib
import logging
import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from vmagent.errors import Misconfigured, Refused, Unavailable

log = logging.getLogger("capture")

PATIENCE: Final = 90.0
"""Seconds for the child: it may wait 30 s each for the change lock and the xtables lock, and then has work
to do.
"""

MEANINGS: Final = {
    Misconfigured.exit_code: "exit status 78: something must be edited",
    Unavailable.exit_code: "exit status 75: something is missing or busy",
    Refused.exit_code: "exit status 77: not permitted",
}
"""Of apply's exit statuses, for those who may not read its words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Apply reads as root what others wrote, and quotes it: its words are for the log, which is root's. The
    gate, which anybody may read, has our own only.
    """

    public: str
    private: str


def attempt(command: Sequence[str]) -> Failure | None:
    """None if it went well."""
    pipe = subprocess.PIPE
    try:
        child = subprocess.Popen(
            command, stdout=pipe, stderr=pipe, text=True, errors="replace", process_group=0
        )
    except OSError as error:
        why = f"{command[0]}: {error.strerror}"
        return Failure(public=why, private=why)
    with child:
        try:
            said = "".join(child.communicate(timeout=PATIENCE))
        except subprocess.TimeoutExpired:
            _end(child.pid)
            why = f"capture apply did not finish within {PATIENCE:g} s"
            return Failure(public=why, private=why)
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if child.returncode != 0:
        _end(child.pid)
        meaning = MEANINGS.get(child.returncode, f"exit status {child.returncode}")
        public = f"capture apply failed ({meaning}); its log says why: journalctl -u istio-capture"
        return Failure(public=public, private="; ".join(lines[-3:]) or public)
    for line in lines:
        log.info("%s", line)
    return None


def _end(group: int) -> None:
    """Of an apply that was killed an iptables may be left that waits for its lock: it would write after the
    rules were taken back. Each of them changes all or nothing.
    """
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
