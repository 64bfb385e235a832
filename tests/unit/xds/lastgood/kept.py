"""Examples of what is kept."""

from tests.unit.xds.transcript import CDS, EDS, LDS
from vmagent.xds.lastgood.content import Kept, Section
from vmagent.xds.resources import Blob, Piece
from vmagent.xds.wanted import Wanted

OWNER = {"name": "vm204", "control plane": "istiod.istio-system.svc:15012"}


def section(url: str, version: str = "", *names: str, **values: str) -> Section:
    """``values``: name to ``value`` or ``value@version``; ``names`` are subscribed to."""
    pieces = {}
    for name, text in values.items():
        value, _, number = text.partition("@")
        pieces[name] = Piece(Blob(value.encode()), 0, len(value), number)
    return Section(url=url, version=version, wanted=Wanted(not names, frozenset(names)), pieces=pieces)


def kept(**owner: str) -> Kept:
    return Kept(
        owner=OWNER | owner,
        sections=(
            section(CDS, "7", web="w@3", shop="s"),
            section(EDS, "8", "web", "absent", web="10.0.0.1"),
            section(LDS, "9"),
        ),
    )


def plain(what: Kept) -> list[tuple[str, str, Wanted, dict[str, tuple[bytes, str]]]]:
    """To compare."""
    return [
        (each.url, each.version, each.wanted, {n: (p.value, p.version) for n, p in each.pieces.items()})
        for each in what.sections
    ]
