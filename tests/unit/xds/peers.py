"""A control plane and an Envoy that keep to the protocol, as values: for walks through everything that may
happen between them.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.unit.xds.transcript import CDS, EDS, update
from vmagent.xds.messages import Ask, DeltaAsk, DeltaRequest, Give, Request, Update


@dataclass
class ControlPlane:
    """``state`` is what there is: type to name to version, which is the content as well."""

    delta: bool
    state: dict[str, dict[str, str]] = field(default_factory=lambda: {CDS: {}, EDS: {}})
    waiting: list[Update] = field(default_factory=list)
    """What it has sent and nobody has read."""
    _wanted: dict[str, set[str]] = field(default_factory=dict)
    _everything: set[str] = field(default_factory=set)
    _sent: dict[str, dict[str, str]] = field(default_factory=dict)
    _nonces: dict[str, str] = field(default_factory=dict)
    _serial: int = 0

    def forgets(self) -> None:
        """The stream has ended; to the next one nothing of it is known."""
        self.waiting = []
        for known in (self._wanted, self._everything, self._sent, self._nonces):
            known.clear()

    def changes(self, url: str, name: str, *, vanishes: bool) -> None:
        if vanishes:
            self.state[url].pop(name, None)
        else:
            self._serial += 1
            self.state[url][name] = str(self._serial)
        if url in self._wanted:
            self._push(url)

    def reads(self, ask: Ask | DeltaAsk) -> None:
        if isinstance(ask, DeltaAsk):
            self._reads_difference(ask)
        else:
            self._reads_all(ask)

    def _reads_all(self, ask: Ask) -> None:
        url, first = ask.type_url, ask.type_url not in self._wanted
        if ask.nonce and ask.nonce != self._nonces.get(url):
            return  # of an earlier response
        before = self._wanted.get(url)
        self._wanted[url] = set(ask.names)
        if url == CDS:
            self._everything.add(url)
        if first or before != set(ask.names):
            self._push(url, answers=True)

    def _reads_difference(self, ask: DeltaAsk) -> None:
        url, first = ask.type_url, ask.type_url not in self._wanted
        if first:
            self._wanted[url], self._sent[url] = set(), dict(ask.versions)
            if not ask.subscribe and not ask.unsubscribe:
                self._everything.add(url)
        if ask.nonce:
            return
        self._wanted[url] -= ask.unsubscribe
        if url not in self._everything:
            for name in ask.unsubscribe:
                self._sent[url].pop(name, None)
        self._wanted[url] |= ask.subscribe
        known = ask.versions.keys() & self.state[url].keys() if first else set()
        self._push(url, asked=ask.subscribe - known, answers=first)

    def _push(self, url: str, *, asked: Iterable[str] = (), answers: bool = False) -> None:
        """``answers``: also if there is nothing new to say."""
        there, sent = self.state[url], self._sent.setdefault(url, {})
        covered = self._wanted[url] | (there.keys() if url in self._everything else set())
        news = {name: there[name] for name in there if name in covered}
        gone: list[str] = []
        if self.delta:
            news = {name: each for name, each in news.items() if sent.get(name) != each or name in asked}
            gone = [*(sent.keys() - there.keys()), *(set(asked) - there.keys() - sent.keys())]
            if not (news or gone or answers):
                return
            for name in gone:
                sent.pop(name, None)
            sent.update(news)
        self._serial += 1
        self._nonces[url] = nonce = f"n{self._serial}"
        if self.delta:
            said = update(url, nonce, {name: f"{each}@{each}" for name, each in news.items()}, *gone)
        else:
            said = Update(url, nonce, nonce, {name: each.encode() for name, each in news.items()})
        self.waiting.append(said)


@dataclass
class Envoy:
    """Wants all clusters, and the endpoints of those it has."""

    delta: bool
    has: dict[str, dict[str, str]] = field(default_factory=lambda: {CDS: {}, EDS: {}})
    missing: set[str] = field(default_factory=set)
    """Clusters that have no endpoints, as it was told."""
    waiting: list[Request | DeltaRequest] = field(default_factory=list)
    """What it has sent and nobody has read."""
    _wants: frozenset[str] = frozenset()
    _begun: bool = False
    _nonce: str = ""

    def opens(self) -> None:
        self._begun, self._nonce = False, ""
        versions = dict(self.has[CDS])
        self.waiting = [DeltaRequest(CDS, versions=versions) if self.delta else Request(CDS)]
        self._subscribe()

    def reads(self, given: Give) -> None:
        told = {name: bytes(value).decode() for name, value in given.resources.items()}
        if given.type_url == CDS and not self.delta:
            self.has[CDS] = told
        elif given.type_url == CDS:
            self.has[CDS] |= told
        else:
            self.has[EDS] |= {name: each for name, each in told.items() if name in self._wants}
            self.missing -= told.keys()
            self.missing |= given.removed & self._wants
        for name in given.removed:
            self.has[given.type_url].pop(name, None)
        self._answer(given)
        if given.type_url == CDS:
            self._subscribe()

    def _answer(self, given: Give) -> None:
        if self.delta:
            self.waiting.append(DeltaRequest(given.type_url, nonce=given.nonce))
            return
        if given.type_url == EDS:
            self._nonce = given.nonce
        names = self._wants if given.type_url == EDS else frozenset()
        self.waiting.append(Request(given.type_url, names, given.nonce))

    def _subscribe(self) -> None:
        wants, before = frozenset(self.has[CDS]), self._wants
        if (wants == before and self._begun) or not (wants or self._begun):
            return
        first, self._begun, self._wants = not self._begun, True, wants
        self.has[EDS] = {name: each for name, each in self.has[EDS].items() if name in wants}
        if not self.delta:
            self.waiting.append(Request(EDS, wants, self._nonce))
        elif first:
            self.waiting.append(DeltaRequest(EDS, wants, versions=dict(self.has[EDS])))
        else:
            self.missing -= before ^ wants
            self.waiting.append(DeltaRequest(EDS, wants - before, before - wants))
