"""What is kept of the mesh for the next start, as values.

Does not:  know how it lies on disk (codec.py) or what becomes of it (restoring.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from vmagent.xds.resources import Piece
from vmagent.xds.wanted import Wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One type of resource, as the control plane sent it and Envoy accepted it (of the name table: the
    agent). ``version`` is the type's, as last accepted.
    """

    url: str
    version: str
    wanted: Wanted
    pieces: Mapping[str, Piece]


Owner = Mapping[str, str]
"""Whose it is: what makes this machine another one in the eyes of the mesh, by a name for the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    owner: Owner
    sections: tuple[Section, ...]


class Damaged(Exception):
    """Not whole, or not ours to use. The text ends a sentence that begins with the file's name."""
