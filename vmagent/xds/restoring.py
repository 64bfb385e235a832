"""Out of a session what shall outlast it, and back into the next one.

Owns:      when there is something whole to keep, and what a session without a control plane is given.
Does not:  know files or age (lastgood/).
Surprise:  what is put back counts as not accepted until an Envoy of this life has accepted it. So the control
           plane, when it returns, is told only of what really runs here.
"""

from collections.abc import Iterable

from vmagent.xds import types
from vmagent.xds.exchange import Exchange
from vmagent.xds.gives import Content
from vmagent.xds.kind import Kind
from vmagent.xds.lastgood.content import Section
from vmagent.xds.messages import Command, Take, Update
from vmagent.xds.resources import Piece, Resources

FOLLOWERS = frozenset({types.ENDPOINT, types.ROUTE})
"""Without which clusters and listeners do not work: while they are on their way, there is nothing whole."""


def taken(exchange: Exchange, wildcards: Iterable[str]) -> tuple[Section, ...]:
    """What was accepted last of each type; nothing while that is not whole."""
    kinds = exchange.kinds
    needed = {*wildcards, *(url for url in FOLLOWERS if url in kinds and kinds[url].wanted)}
    if any(kind.untidy for kind in kinds.values()) or not all(_whole(kinds[url]) for url in needed):
        return ()
    return tuple(_section(kind) for kind in kinds.values() if kind.wanted and _whole(kind))


def _whole(kind: Kind) -> bool:
    return kind.arrived and kind.held.proven


def _section(kind: Kind) -> Section:
    """Copies: the bytes may move while somebody writes them (shelf.py)."""
    pieces = {
        name: Piece(piece.blob, piece.start, piece.length, piece.version)
        for name, piece in kind.held.good.items()
    }
    return Section(url=kind.url, version=kind.accepted, wanted=kind.wanted, pieces=pieces)


def put_back(exchange: Exchange, sections: Iterable[Section], *, delta: bool) -> list[Command]:
    """As if the control plane had sent it. ``delta``: how the connected Envoy speaks, if there is one."""
    commands: list[Command] = []
    for section in sections:
        kind = exchange.kinds.setdefault(section.url, Kind(section.url))
        before = None if kind.subscribed or kind.wanted.everything else exchange.adopt(kind, section.wanted)
        kind.version, kind.arrived, kind.restored = section.version, True, True
        kind.catching_up = exchange.upstream
        resources = Resources.of(section.pieces)
        kind.held.absorb(resources, whole=kind.whole, wanted=kind.wanted)
        commands += exchange.tell(kind, before)
        if kind.url in types.OWN:
            commands.append(Take(Update(kind.url, kind.version, "", resources)))
        elif kind.subscribed:
            commands.append(exchange.give(kind, "", Content(Resources.of(kind.held.pieces)), delta=delta))
    return commands
