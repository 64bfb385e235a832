"""Where what is held for the next Envoy lies while nobody needs it: on disk, not in memory.

Owns:      moving large responses into files without a name (nobody else can open them, and they are gone with
           the process), and writing anew what is left of several.
Does not:  know what is held for whom (held.py); decide when (housekeeping.py).
Surprise:  a disk that is full or read-only costs memory and nothing else.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from vmagent.runtime import files
from vmagent.xds.held import Held
from vmagent.xds.resources import Blob, Piece

log = logging.getLogger("xdsproxy")

SMALL: Final = 256 * 1024
"""Bytes of a blob that stays in memory; the many small ones of a type are put together, so there is one."""

SLACK: Final = 1024 * 1024
"""Bytes of a type that may be kept for nothing, beside as many as are of use."""

MOST: Final = 16
"""Blobs of a type, of each size: each large one is an open file."""


class Shelf:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._full = False

    def tidy(self, kinds: Iterable[Held]) -> None:
        """Blocks for as long as the disk takes what has come since the last time."""
        for held in kinds:
            pieces = held.all_pieces()
            small = [piece for piece in pieces if piece.blob.size < SMALL]
            large = [piece for piece in pieces if piece.blob.size >= SMALL]
            if _wasteful(small):
                self._rewrite(small)
            if _wasteful(large):
                self._rewrite(large)
            for blob in _blobs(pieces):
                if blob.in_memory and blob.size >= SMALL:
                    self._move(blob)

    def _rewrite(self, pieces: Sequence[Piece]) -> None:
        """Out of all their blobs into one, where each piece stands once."""
        size = sum(piece.length for piece in pieces)
        if size < SMALL:
            _place(pieces, Blob(b"".join(_values(pieces))))
            return
        try:
            blob = Blob.of_file(files.unnamed(self._directory, _values(pieces)), size)
        except OSError as why:
            self._say(why)
        else:
            _place(pieces, blob)
            self._say(None)

    def _move(self, blob: Blob) -> None:
        try:
            blob.move(files.unnamed(self._directory, (bytes(blob),)))
        except OSError as why:
            self._say(why)
        else:
            self._say(None)

    def _say(self, why: OSError | None) -> None:
        if why is not None and not self._full:
            log.warning("%s: %s; what is held for Envoy stays in memory", self._directory, why.strerror)
        self._full = why is not None


def _values(pieces: Iterable[Piece]) -> Iterator[bytes]:
    return (piece.value for piece in pieces)


def _place(pieces: Iterable[Piece], blob: Blob) -> None:
    at = 0
    for piece in pieces:
        piece.blob, piece.start = blob, at
        at += piece.length


def _blobs(pieces: Iterable[Piece]) -> list[Blob]:
    return list({id(piece.blob): piece.blob for piece in pieces}.values())


def _wasteful(pieces: Sequence[Piece]) -> bool:
    blobs = _blobs(pieces)
    kept, used = sum(blob.size for blob in blobs), sum(piece.length for piece in pieces)
    return len(blobs) > MOST or kept > 2 * used + SLACK
