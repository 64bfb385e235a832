"""Where it lies: one file, written whole or not at all, read back only if it is whole and ours.

Owns:      the file and the one beside it that was set aside.
Does not:  decide when (part.py). Everything here blocks for as long as the disk does: call it from a thread.
Surprise:  how old it is stands in the file's modification time. What has not changed for a week is not
           written for a week, and is as good as at the last moment the control plane was there: that is set.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vmagent.runtime import files
from vmagent.xds.lastgood import codec
from vmagent.xds.lastgood.content import Damaged, Kept, Owner

FILE: Final = "last-known-good"
LARGEST: Final = 256 << 20
"""Bytes. Ten thousand services are about 60 MB; what is larger is not kept."""

_MODE: Final = 0o600


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """``seen``: when the control plane was last there, epoch seconds."""

    kept: Kept
    seen: float


class Disk:
    def __init__(self, directory: Path, owner: Owner) -> None:
        self.path = directory / FILE
        self._owner = owner
        self._written = b""

    @property
    def aside(self) -> Path:
        """The last one that would not do, for whoever wants to know why."""
        return self.path.with_name(f"{FILE}.damaged")

    def sweep(self) -> None:
        """Away with what a crash in the middle of writing left. Not while somebody writes. Raises OSError."""
        for path in self.path.parent.glob(f".{FILE}.*"):
            files.remove(path)

    def load(self) -> Found | None:
        """None: there is none. Raises Damaged after setting it aside; OSError where it cannot be read."""
        try:
            data = files.read_small(self.path, most=LARGEST)
            seen = self.path.stat().st_mtime
        except FileNotFoundError:
            return None
        try:
            kept = codec.decode(data)
            self._check(kept.owner)
        except Damaged:
            os.replace(self.path, self.aside)
            raise
        return Found(kept=kept, seen=seen)

    def save(self, kept: Kept, seen: float) -> bool:
        """False: the same lies there already. Raises OSError."""
        if codec.size(kept) > LARGEST:
            raise OSError(0, f"larger than {LARGEST >> 20} MiB", str(self.path))
        content = codec.fingerprint(kept)
        fresh = content != self._written or not self.path.exists()
        if fresh:
            files.write_pieces(self.path, codec.encode(kept), mode=_MODE)
            self._written = content
        self.confirm(seen)
        return fresh

    def confirm(self, seen: float) -> None:
        """The control plane was there at ``seen``, and what it says has not changed. Raises OSError."""
        files.set_time(self.path, seen)

    def forget(self) -> None:
        """Nothing shall be kept. Raises OSError."""
        for path in (self.path, self.aside):
            files.remove(path)

    def _check(self, owner: Owner) -> None:
        for what, mine in self._owner.items():
            if (theirs := owner.get(what, "")) != mine:
                raise Damaged(f"is of another machine: {what} {theirs or 'unknown'}, here {mine or 'none'}")
