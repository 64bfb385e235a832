"""What the control plane sent of one type, and what of it an Envoy accepted last.

Owns:      the newest version of each resource, the last good one beside it as long as the newest has no
           acceptance (and what lies between them: an answer may come when the next change is here), and the
           names that were said not to exist.
Does not:  know streams, nonces or variants (session.py), or where the bytes lie (resources.py, shelf.py).
Surprise:  an update is taken apart only when somebody looks, which is after it has gone to Envoy: the names
           of ten thousand resources cost as much as passing them on. One that cannot be taken apart then was
           none: an Envoy cannot read it either, ends its stream, and is given what there was before.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from google.protobuf.message import DecodeError

from vmagent.xds.resources import Piece, Resources
from vmagent.xds.wanted import Wanted

log = logging.getLogger("xdsproxy")


@dataclass(frozen=True, slots=True)
class _Change:
    generation: int
    resources: Resources
    removed: tuple[str, ...]
    whole: bool
    wanted: Wanted


MOST_DOUBTS: Final = 4
"""Changes of one resource whose acceptances are told apart. Of an Envoy that lags further behind, an
acceptance of the oldest counts only with that of the one after it.
"""


@dataclass(slots=True)
class _Doubt:
    """A change of a resource that has no acceptance: what there was before it (None: nothing), and the change
    before it, if that has none either.
    """

    piece: Piece | None
    generation: int
    earlier: "_Doubt | None"

    def __iter__(self) -> "Iterator[_Doubt]":
        """From the newest."""
        each: _Doubt | None = self
        while each is not None:
            yield each
            each = each.earlier

    @property
    def good(self) -> Piece | None:
        *_, oldest = self
        return oldest.piece

    def after(self, since: int, upto: int) -> "_Doubt | None":
        """What is left when the changes after ``since`` up to ``upto`` are accepted, and with each those
        before it.
        """
        if since < self.generation <= upto:
            return None
        return _Doubt(self.piece, self.generation, self.earlier and self.earlier.after(since, upto))

    def cut(self, most: int) -> "_Doubt":
        """The oldest made one, if there are more than ``most``."""
        if self.earlier is None:
            return self
        if most == 1:
            return _Doubt(self.good, self.generation, None)
        return _Doubt(self.piece, self.generation, self.earlier.cut(most - 1))


class Held:
    """Updates are numbered by ``generation``, from 1."""

    def __init__(self) -> None:
        self._pieces: dict[str, Piece] = {}
        self._before: dict[str, _Doubt] = {}
        self._gone: set[str] = set()
        self._unread: _Change | None = None
        self.generation = 0
        self.proven = False
        """Whether an Envoy ever accepted anything."""
        self.acceptances = 0
        """How often one did, for whoever wants to know whether there is something new."""

    def absorb(
        self, resources: Resources, removed: tuple[str, ...] = (), *, whole: bool, wanted: Wanted
    ) -> None:
        """``whole``: there is nothing of this type but ``resources``. What is not wanted is passed over."""
        self._look()
        self.generation += 1
        self._unread = _Change(self.generation, resources, removed, whole, wanted)

    def accept(self, since: int, upto: int, *, but: frozenset[str] = frozenset()) -> None:
        """An Envoy has, and runs with, what changed after ``since`` up to ``upto``, ``but`` for these."""
        self._look()
        self.proven = True
        self.acceptances += 1
        self._before = {
            name: left
            for name, each in self._before.items()
            if (left := each if name in but else each.after(since, upto))
        }

    def keep(self, wanted: Wanted) -> None:
        """Forget what is not wanted any more."""
        self._look()
        self._pieces = {name: piece for name, piece in self._pieces.items() if wanted.covers(name)}
        self._before = {name: each for name, each in self._before.items() if wanted.covers(name)}
        self._gone &= wanted.names

    def forget(self) -> None:
        """Nobody wants this type any more."""
        self.keep(Wanted())
        self.proven = False

    @property
    def pieces(self) -> Mapping[str, Piece]:
        """The newest of each."""
        self._look()
        return self._pieces

    @property
    def gone(self) -> set[str]:
        """Names that were asked for and that the control plane has nothing under."""
        self._look()
        return self._gone

    @property
    def good(self) -> dict[str, Piece]:
        """What an Envoy accepted last of each."""
        self._look()
        found = dict(self._pieces)
        for name, piece in self.doubted.items():
            if piece is None:
                found.pop(name, None)
            else:
                found[name] = piece
        return found

    @property
    def doubted(self) -> Mapping[str, Piece | None]:
        """Names whose newest state has no acceptance, with the last good one."""
        self._look()
        return {name: each.good for name, each in self._before.items()}

    def knows(self, name: str) -> bool:
        """Whether Envoy may have something under that name."""
        return name in self.pieces or name in self._before

    def changed(self, name: str) -> int:
        """The generation in which a resource without acceptance changed last; 0 for any other."""
        self._look()
        return self._before[name].generation if name in self._before else 0

    def news(self, resources: Resources) -> dict[str, Piece]:
        """Those of ``resources`` that differ from what is held and good: the bytes decide."""
        self._look()
        return {name: piece for name, piece in resources.pieces.items() if not self._same(name, piece)}

    def all_pieces(self) -> list[Piece]:
        """Every piece that is kept, for whoever moves them."""
        self._look()
        found = list(self._pieces.values())
        found += [doubt.piece for each in self._before.values() for doubt in each if doubt.piece is not None]
        return found

    def _same(self, name: str, piece: Piece) -> bool:
        mine = self._pieces.get(name)
        if mine is None or name in self._before or mine.length != piece.length:
            return False
        return mine.version == piece.version and mine.value == piece.value

    def _look(self) -> None:
        if self._unread is None:
            return
        change, self._unread = self._unread, None
        try:
            fresh = change.resources.pieces
        except DecodeError as why:
            log.warning("a response of the control plane cannot be read, what was before it stays: %s", why)
            return
        if not change.wanted.everything:
            fresh = {name: piece for name, piece in fresh.items() if name in change.wanted.names}
        gone = set(change.removed) - fresh.keys()
        if change.whole:
            gone |= self._pieces.keys() - fresh.keys()
        held, before, generation = self._pieces, self._before, change.generation
        for name in (*fresh, *(gone & held.keys())):
            before[name] = _Doubt(held.get(name), generation, before.get(name)).cut(MOST_DOUBTS)
        for name in gone:
            held.pop(name, None)
        held |= fresh
        self._gone = (self._gone | (gone & change.wanted.names)) - fresh.keys()
