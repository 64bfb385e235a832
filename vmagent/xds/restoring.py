"""Out of a session what shall outlast it, and back into the next one.

Owns:      when there is something whole to keep, and what a session without a control plane is given.
Does not:  know files or age (lastgood/).
Surprise:  what is put back counts as not accepted until an Envoy of this life has accepted it. So the control
           plane, when it returns, is told only of what really runs here. And it may have begun to speak: what
           it said in this life is newer, and stays as far as Envoy can do with it.
"""

from collections.abc import Iterable, Mapping

from vmagent.xds import types
from vmagent.xds.exchange import Exchange
from vmagent.xds.gives import Content
from vmagent.xds.kind import Kind
from vmagent.xds.lastgood.content import Section
from vmagent.xds.messages import Command, Take, Update
from vmagent.xds.resources import Piece, Resources
from vmagent.xds.wanted import Wanted

FOLLOWERS = types.LEADERS.keys()
"""Without which clusters and listeners do not work: while they are on their way, there is nothing whole."""


def taken(exchange: Exchange, wildcards: Iterable[str]) -> tuple[Section, ...]:
    """What was accepted last of each type; nothing while that is not whole."""
    kinds = exchange.kinds
    if any(kind.untidy for kind in kinds.values()) or not settled(exchange, wildcards):
        return ()
    return tuple(_section(kind) for kind in kinds.values() if kind.wanted and _whole(kind))


def settled(exchange: Exchange, wildcards: Iterable[str]) -> bool:
    """Whether an Envoy of this life has accepted something of all that it needs."""
    kinds = exchange.kinds
    needed = {*wildcards, *(url for url in FOLLOWERS if url in kinds and kinds[url].wanted)}
    return all(_whole(kinds[url]) for url in needed)


def _whole(kind: Kind) -> bool:
    return kind.arrived and kind.held.proven


def _section(kind: Kind) -> Section:
    """Copies: the bytes may move while somebody writes them (shelf.py)."""
    pieces = {
        name: Piece(piece.blob, piece.start, piece.length, piece.version)
        for name, piece in kind.held.good.items()
    }
    return Section(url=kind.url, version=kind.accepted, wanted=kind.wanted, pieces=pieces)


# --- back -------------------------------------------------------------------------------------------------


def wanting(exchange: Exchange, wildcards: Iterable[str]) -> bool:
    """Whether something is waited for that what was kept may have: a whole type, or what a cluster or
    listener of this life needs.
    """
    kinds = exchange.kinds
    return any(not kinds[url].arrived for url in wildcards) or any(
        _said(kinds, leader) and _lacking(kinds, url) for url, leader in types.LEADERS.items()
    )


def put_back(exchange: Exchange, sections: Iterable[Section], *, delta: bool) -> list[Command]:
    """As if the control plane had sent it, where it has not. ``delta``: how the connected Envoy speaks, if
    there is one.

    What came in this life stays, and is filled up with what was kept. If that does not give Envoy what its
    new clusters or listeners wait for, they would wait for the control plane, and everything with them: then
    all of what was kept comes in their place, which was whole once.
    """
    kept = {section.url: section for section in sections}
    instead = not exchange.upstream and _stuck(exchange.kinds, kept, delta=delta)
    commands: list[Command] = []
    for section in kept.values():
        kind = exchange.kinds.setdefault(section.url, Kind(section.url))
        adopts = not (kind.subscribed or kind.arrived or kind.wanted.everything)
        before = exchange.adopt(kind, section.wanted) if adopts else None
        commands += exchange.tell(kind, before)
        if not kind.wanted.everything:
            commands += _fill(exchange, kind, section, delta=delta)
        elif not kind.arrived or (instead and not kind.restored):
            commands += _replace(exchange, kind, section, delta=delta)
    return commands


def _lacking(kinds: Mapping[str, Kind], url: str) -> frozenset[str]:
    """Names that Envoy waits for."""
    kind = kinds.get(url)
    return kind.wanted.names - kind.held.pieces.keys() - kind.held.gone if kind else frozenset()


def _said(kinds: Mapping[str, Kind], url: str) -> bool:
    """Whether the control plane did say it in this life."""
    kind = kinds.get(url)
    return kind is not None and kind.arrived and not kind.restored


def _stuck(kinds: Mapping[str, Kind], kept: Mapping[str, Section], *, delta: bool) -> bool:
    """Whether Envoy waits for names of which nothing was kept. That there is nothing under a name can only be
    said incrementally.
    """
    for url, leader in types.LEADERS.items():
        section = kept.get(url)
        known = {*section.pieces, *(section.wanted.names if delta else ())} if section else set()
        if leader in kept and _said(kinds, leader) and _lacking(kinds, url) - known:
            return True
    return False


def _replace(exchange: Exchange, kind: Kind, section: Section, *, delta: bool) -> list[Command]:
    """All that there is of the type."""
    gone = kind.held.pieces.keys() - section.pieces.keys()
    kind.version, kind.arrived, kind.restored = section.version, True, True
    kind.catching_up = exchange.upstream
    resources = Resources.of(section.pieces)
    kind.held.absorb(resources, tuple(gone), whole=kind.whole, wanted=kind.wanted)
    if kind.url in types.OWN:
        return [Take(Update(kind.url, kind.version, "", resources))]
    if not kind.subscribed:
        return []
    content = Content(Resources.of(kind.held.pieces), frozenset(gone) if delta else frozenset())
    return [exchange.give(kind, "", content, delta=delta)]


def _fill(exchange: Exchange, kind: Kind, section: Section, *, delta: bool) -> list[Command]:
    """Names that nobody has said anything of. Also those that Envoy does not ask for yet: it may, when it has
    its clusters.
    """
    known = kind.held.pieces.keys() | kind.held.gone
    fresh = {name: piece for name, piece in section.pieces.items() if name not in known}
    absent = frozenset(section.wanted.names - section.pieces.keys() - known)
    if kind.arrived and not fresh and not absent:
        return []
    if not kind.arrived:
        kind.version, kind.catching_up = section.version, exchange.upstream
    kind.arrived = kind.restored = True
    kind.untidy = kind.untidy or not all(map(kind.wanted.covers, fresh))
    wanted = Wanted(False, kind.wanted.names | section.wanted.names | section.pieces.keys())
    kind.held.absorb(Resources.of(fresh), tuple(absent), whole=False, wanted=wanted)
    asked = {name: piece for name, piece in fresh.items() if kind.wanted.covers(name)}
    removed = absent & kind.wanted.names if delta else frozenset()
    if not kind.subscribed or not (asked or removed):
        return []
    return [exchange.give(kind, "", Content(Resources.of(asked), removed), delta=delta)]
