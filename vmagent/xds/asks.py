"""How the control plane is asked, in each variant: a subscription of one type as the next message about it.

Owns:      what the variants differ in towards the control plane, istiod's habits included.
Does not:  decide when to ask (session.py) or write bytes (sotw.py, delta.py).
"""

from collections.abc import Mapping
from typing import Final, Protocol

from vmagent.xds.kind import Kind
from vmagent.xds.messages import Ask, DeltaAsk
from vmagent.xds.wanted import EVERYTHING, Wanted

LARGEST_CLAIM: Final = 2_000_000
"""Bytes of names and versions that a reconnect may tell: istiod takes requests of 4 MiB. Beyond it nothing is
told, and everything is sent once more.
"""


class Asks(Protocol):
    delta: bool

    def first(self, kind: Kind) -> Ask | DeltaAsk:
        """The first message about a type on a stream."""
        ...

    def changed(self, kind: Kind, before: Wanted) -> Ask | DeltaAsk | None:
        """Other names are wanted than ``before``; None if that makes no difference to the control plane."""
        ...

    def answer(self, kind: Kind, nonce: str, error: str) -> Ask | DeltaAsk:
        """``error`` empty means accepted."""
        ...


class SotwAsks:
    """Every message says all that is wanted, an acknowledgement too."""

    delta = False

    def first(self, kind: Kind) -> Ask:
        kind.begun = True
        return Ask(kind.url, _names(kind), "" if kind.unsure else kind.accepted)

    def changed(self, kind: Kind, before: Wanted) -> Ask | None:
        if kind.whole and before:
            return None  # all of them are asked for, whichever Envoy names
        kind.begun = True
        return Ask(kind.url, _names(kind), kind.accepted, kind.nonce)

    def answer(self, kind: Kind, nonce: str, error: str) -> Ask:
        return Ask(kind.url, _names(kind), kind.accepted, nonce, error)


class DeltaAsks:
    """Subscriptions and answers are messages of their own: of an answer istiod takes no names."""

    delta = True

    def first(self, kind: Kind) -> DeltaAsk:
        """No names at all are the first request's way to say everything."""
        kind.begun = True
        versions = _claim(kind)
        kind.claimed = frozenset(versions)
        names = kind.wanted.names
        subscribe = names | {EVERYTHING} if kind.wanted.everything and names else names
        return DeltaAsk(kind.url, subscribe, versions=versions, first=True)

    def changed(self, kind: Kind, before: Wanted) -> DeltaAsk | None:
        if not kind.begun:
            return self.first(kind)
        now, then = _spelt(kind.wanted), _spelt(before)
        return DeltaAsk(kind.url, now - then, then - now)

    def answer(self, kind: Kind, nonce: str, error: str) -> DeltaAsk:
        return DeltaAsk(kind.url, nonce=nonce, error=error)


def _names(kind: Kind) -> frozenset[str]:
    if kind.wanted.everything:
        return frozenset() if kind.whole or not kind.wanted.names else kind.wanted.names | {EVERYTHING}
    return kind.wanted.names


def _spelt(wanted: Wanted) -> frozenset[str]:
    return wanted.names | {EVERYTHING} if wanted.everything else wanted.names


def _claim(kind: Kind) -> Mapping[str, str]:
    """What Envoy has and runs with, by name, with its version. istiod gives no versions and looks at the
    names, to say which of them are no more.
    """
    if not kind.held.proven or kind.unsure:
        return {}
    versions = {name: piece.version for name, piece in kind.held.good.items()}
    size = sum(len(name) + len(version) for name, version in versions.items())
    return versions if size <= LARGEST_CLAIM else {}
