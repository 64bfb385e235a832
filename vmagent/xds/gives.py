"""What an update means to the Envoy that is connected, in each pair of variants.

Owns:      turning all there is into differences, differences into all there is, and leaving out what Envoy
           has already.
Does not:  keep anything; know nonces (session.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from vmagent.xds.kind import Kind
from vmagent.xds.messages import Update
from vmagent.xds.resources import Blob, Resources


@dataclass(frozen=True, slots=True)
class Content:
    """What one response to Envoy says. ``raw`` if it can say it in the bytes that came."""

    resources: Mapping[str, bytes] = field(default_factory=dict)
    removed: frozenset[str] = frozenset()
    raw: bytes | Blob = b""


def take_in(kind: Kind, update: Update, *, incrementally: bool, spare: bool) -> Content | None:
    """Hold the update, and say what of it Envoy is to be given, ``incrementally`` or not. None: Envoy has all
    of it.

    ``spare``: what Envoy has byte for byte may be left out, for nothing else waits for it to come again.
    """
    if not update.delta:
        return _from_sotw(kind, update, incrementally=incrementally)
    if kind.catching_up and kind.wanted.everything:
        update = _with_the_vanished(kind, update)
    if kind.catching_up and spare:
        update = _without_the_known(kind, update)
    _hold(kind, update, whole=False)
    if incrementally:
        return _told(update)
    if kind.whole:
        return Content(Resources.of(kind.held.pieces))
    return Content(update.resources) if update.resources else None


def _from_sotw(kind: Kind, update: Update, *, incrementally: bool) -> Content | None:
    if not incrementally:
        _hold(kind, update, whole=kind.whole)
        return Content(update.resources, raw=update.raw)
    if kind.whole:
        resources = Resources.plain(update.resources)
        gone = kind.held.pieces.keys() - resources.keys()
        news = Resources.of(kind.held.news(resources))
        update = replace(update, resources=news, removed=tuple(gone))
    _hold(kind, update, whole=False)
    return _told(replace(update, raw=b""))


def _told(update: Update) -> Content | None:
    """Incrementally, a response that came is passed on also if it says nothing."""
    if not (update.raw or update.resources or update.removed):
        return None
    return Content(update.resources, frozenset(update.removed), update.raw)


def _hold(kind: Kind, update: Update, *, whole: bool) -> None:
    kind.held.absorb(Resources.plain(update.resources), update.removed, whole=whole, wanted=kind.wanted)


def _with_the_vanished(kind: Kind, update: Update) -> Update:
    """Resources that the control plane was not told about, and now does not send, are no more: it could not
    say so.
    """
    vanished = kind.held.pieces.keys() - kind.claimed
    vanished -= update.resources.keys() if vanished else set()
    return replace(update, removed=(*update.removed, *vanished), raw=b"") if vanished else update


def _is_news(kind: Kind, name: str) -> bool:
    """That it is no more, or that there is nothing under a name that Envoy has asked for and waits for."""
    asked = name in kind.wanted.names and name not in kind.held.gone
    return asked or kind.held.knows(name)


def _without_the_known(kind: Kind, update: Update) -> Update:
    """After a reconnect istiod sends everything again."""
    news = kind.held.news(Resources.plain(update.resources))
    removed = tuple(name for name in update.removed if _is_news(kind, name))
    if news and len(news) == len(update.resources) and len(removed) == len(update.removed):
        return update
    return replace(update, resources=Resources.of(news), removed=removed, raw=b"")
