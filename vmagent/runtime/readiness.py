"""Readiness is a set of named gates. Each part opens its own; the log always says who is missing.

Gates are published as files, one per gate, so that a shell script, another unit and the capture process can
read them without asking the daemon: ``open`` or ``waiting: REASON``. A gate file counts only while the
daemon's lock is held.

Surprise: readers believe nothing. The files lie in a directory of the unprivileged user, root reads them and
publishes the reasons again, so whatever is not one of the two is ``unreadable``.
"""

import contextlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from vmagent.runtime import files

log = logging.getLogger("readiness")

LOCK = "lock"
OPEN = "open"
STARTING = "starting"
WAITING = "waiting: "
UNREADABLE = "unreadable"

LARGEST: Final = 64 * 1024
"""Bytes of a gate file: a reason names every mistake in the configuration, and there may be hundreds."""

LONGEST: Final = 300
"""Characters of a reason that another process passes on: a few lines of a terminal. status.json has all."""


class Readiness:
    """Ready when every named gate is open. A gate may close again."""

    def __init__(self, *gates: str, directory: Path | None = None) -> None:
        self._names = gates
        self._waiting: dict[str, str] = {}
        self._directory = directory
        self._unwritten: set[str] = set()
        self.changed: Callable[[], None] = lambda: None
        """Called after each move of a gate; whoever composes the process may set it."""
        for gate in gates:
            self._waiting[gate] = STARTING
            self._publish(gate)

    def open(self, gate: str) -> None:
        if self._waiting.pop(gate, None) is not None:
            log.info("%s ready; waiting for: %s", gate, ", ".join(self._waiting) or "nothing")
            self._publish(gate)

    def close(self, gate: str, why: str) -> None:
        """``why`` is one sentence an operator can act on. Saying the same again is silent."""
        if self._waiting.get(gate) == why:
            return
        log.warning("%s not ready: %s", gate, why)
        self._waiting[gate] = why
        self._publish(gate)

    def is_open(self, gate: str) -> bool:
        return gate not in self._waiting

    @property
    def gates(self) -> dict[str, str]:
        """Every gate, in order, with ``open`` or the reason it is not."""
        return {gate: self._waiting.get(gate, OPEN) for gate in self._names}

    @property
    def waiting(self) -> dict[str, str]:
        """Empty means ready."""
        return {gate: why for gate, why in self.gates.items() if why != OPEN}

    def publish_again(self) -> None:
        """Try the files again that could not be written. To be called now and then."""
        for gate in tuple(self._unwritten):
            self._write(gate)

    def _publish(self, gate: str) -> None:
        self.changed()
        self._write(gate)

    def _write(self, gate: str) -> None:
        """Where there is no room for the truth, what stood there before goes: it may say ``open``."""
        if self._directory is None:
            return
        text = WAITING + self._waiting[gate] if gate in self._waiting else OPEN
        if files.publish(self._directory / gate, f"{text}\n".encode(), mode=0o644):
            self._unwritten.discard(gate)
            return
        self._unwritten.add(gate)
        with contextlib.suppress(OSError):
            files.remove(self._directory / gate)


def read(directory: Path, gates: tuple[str, ...], *, who: str = "the agent") -> dict[str, str]:
    """Each gate's state as its file tells: ``open`` or why not, one printable line. Used by other processes;
    changes nothing.
    """
    if not files.locked(directory.parent / LOCK):
        return dict.fromkeys(gates, f"{who} is not running")
    return {gate: _state(directory / gate) for gate in gates}


def _state(path: Path) -> str:
    try:
        text = files.read_small(path, most=LARGEST).decode().strip()
    except FileNotFoundError:
        return STARTING
    except (OSError, UnicodeDecodeError):
        return UNREADABLE
    if text == OPEN:
        return OPEN
    reason = text.removeprefix(WAITING).partition("\n")[0]
    if not text.startswith(WAITING) or not reason.isprintable() or reason == OPEN:
        return UNREADABLE
    return reason if len(reason) <= LONGEST else reason[: LONGEST - 1] + "…"
