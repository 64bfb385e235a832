"""Where the two streams meet: feeds events to the session and performs its commands.

Owns which stream counts: the newest on either side, and of two Envoys that which takes over. Does not open
streams (upstream.py, relay.py) and decides nothing (session.py).

Surprise: during a hot restart two Envoys have a stream. That of the one to be replaced is left open and gets
nothing more, for an Envoy whose stream is closed comes back at once. It may be the one that comes last: when
the agent has been away, an Envoy asks for it in growing intervals. So the restart epoch counts, and only of
two with the same one, or that do not tell, the newest stream. When the stream that counts closes, the others
are ended: whoever of them still lives then comes back and gets everything.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping

from vmagent._pb import wire_pb2 as wire
from vmagent.runtime.latest import Latest
from vmagent.xds import types
from vmagent.xds.compatibility import Compatibility
from vmagent.xds.held import Held
from vmagent.xds.intercept import NameTableIntercept
from vmagent.xds.lastgood.content import Section
from vmagent.xds.messages import (
    Ask,
    Command,
    DeltaAsk,
    DeltaRequest,
    EnvoyClosed,
    EnvoyOpened,
    Event,
    Give,
    Health,
    Quiet,
    Request,
    Restored,
    Take,
    Update,
    UpstreamClosed,
    UpstreamOpened,
)
from vmagent.xds.names import NameTable
from vmagent.xds.outbox import Outbox
from vmagent.xds.resources import Blob
from vmagent.xds.session import Session

log = logging.getLogger("xdsproxy")


class Hub:
    """One event loop only. What arrives from a stream that has been replaced is dropped."""

    def __init__(self, *, name_tables: bool) -> None:
        self._wildcards = (types.CLUSTER, types.LISTENER) + ((types.NAME_TABLE,) if name_tables else ())
        self._session = Session(self._wildcards)
        self._names = NameTableIntercept()
        self._upstream: Outbox | None = None
        self._envoy: Outbox | None = None
        self._epoch = -1
        self._others: list[Outbox] = []
        self.complete: Latest[bool] = Latest()
        """Published once, when the control plane has answered for every wildcard type."""
        self.moved = asyncio.Event()
        """Set by everything that happens; for whoever waits until nothing does (housekeeping.py)."""
        self.passed = 0
        """Bytes of responses since somebody set it to 0."""
        self.requests = self.responses = 0
        """Messages sent to, and received from, the control plane."""

    @property
    def tables(self) -> Latest[NameTable]:
        return self._names.tables

    @property
    def connected(self) -> bool:
        """Whether a stream to the control plane is open."""
        return self._upstream is not None

    @property
    def versions(self) -> dict[str, str]:
        """Short type name to the version last accepted, for the status document."""
        return {types.short(url): version for url, version in self._session.versions.items()}

    @property
    def taken_out(self) -> Mapping[str, tuple[str, ...]]:
        """Extension to the short names of the resource types it was taken out of for this Envoy."""
        return self._session.compatibility.account.taken_out

    @property
    def refused(self) -> Mapping[str, str]:
        """``Listener NAME`` to the reason, for each resource whose newest version this Envoy cannot have."""
        return self._session.compatibility.account.refused

    @property
    def held(self) -> Iterable[Held]:
        return self._session.held

    @property
    def acceptances(self) -> int:
        """Grows when Envoy, or the agent for its own types, accepts something."""
        return sum(held.acceptances for held in self._session.held)

    @property
    def picture(self) -> tuple[Section, ...]:
        """What was accepted last of everything, for the next start; empty while that is not whole."""
        return self._session.picture

    @property
    def restored(self) -> bool:
        """Whether something is served that the control plane has not confirmed since the start."""
        return self._session.restored

    @property
    def settled(self) -> bool:
        """Whether Envoy has accepted something of everything since the start."""
        return self._session.settled

    @property
    def wanting(self) -> bool:
        """Whether agent or Envoy wait for something that an earlier ``picture`` may have."""
        return self._session.wanting

    def restore(self, sections: tuple[Section, ...]) -> None:
        """What an earlier ``picture`` had, where the control plane has not said it in this life."""
        self._handle(Restored(sections))
        self._see_whether_complete()

    def holds(self, sections: tuple[Section, ...]) -> bool:
        """Whether that is all the agent asks for by itself."""
        return {section.url for section in sections} >= set(self._wildcards)

    def open_upstream(self, *, delta: bool = False) -> Outbox:
        self._upstream = Outbox()
        self._handle(UpstreamOpened(delta))
        return self._upstream

    def close_upstream(self, outbox: Outbox) -> None:
        if outbox is self._upstream:
            self._upstream = None
            self._handle(UpstreamClosed())

    def open_envoy(self, *, delta: bool = False, epoch: int = -1) -> Outbox:
        """``epoch``: the restart epoch of that Envoy; -1 if it does not tell."""
        stream = Outbox()
        if self._envoy is not None and epoch < self._epoch:
            log.info("an Envoy that is being replaced is back; it gets nothing more")
            self._others.append(stream)
            return stream
        if self._envoy is not None:
            log.warning("Envoy opened a second stream; the first one gets nothing more")
            self._others.append(self._envoy)
        self._envoy, self._epoch = stream, epoch
        self._handle(EnvoyOpened(delta))
        return stream

    def close_envoy(self, outbox: Outbox) -> None:
        if outbox is not self._envoy:
            self._others.remove(outbox)
            return
        self._envoy = None
        self._handle(EnvoyClosed())
        for other in self._others:
            other.end()

    def from_upstream(self, outbox: Outbox, update: Update) -> None:
        if outbox is not self._upstream:
            return
        self.responses += 1
        self.passed += update.raw.size if isinstance(update.raw, Blob) else len(update.raw)
        self._handle(update)
        self._see_whether_complete()

    def _see_whether_complete(self) -> None:
        if self.complete.value is None and all(map(self._session.arrived, self._wildcards)):
            self.complete.publish(True)

    def from_envoy(self, outbox: Outbox, request: Request | DeltaRequest, node: wire.Node) -> None:
        """``node`` is empty but for the first request of a stream, where it tells what this Envoy can
        load. One that does not tell is taken to load everything.
        """
        if outbox is not self._envoy:
            return
        if node.extensions:
            self._session.compatibility = Compatibility.of(node)
        if request.error:
            log.warning("Envoy rejected %s: %s", types.short(request.type_url), request.error)
        self._handle(request)

    def report_health(self, error: str) -> None:
        """``error`` empty means healthy. Sent now, and again on every new stream to the control plane."""
        self._handle(Health(error))

    def quiet(self) -> None:
        """For a while nothing has come from either side."""
        for command in self._session.on(Quiet()):
            self._perform(command)

    def _handle(self, event: Event) -> None:
        for command in self._session.on(event):
            self._perform(command)
        self.moved.set()  # last: who is to send goes before who tidies up

    def _perform(self, command: Command) -> None:
        match command:
            case Ask() | DeltaAsk() if self._upstream is not None:
                self.requests += 1
                self._upstream.put(command)
            case Give() if self._envoy is not None:
                for name, why in command.refused.items():
                    log.warning("kept from Envoy: %s %s: %s", types.short(command.type_url), name, why)
                self._envoy.put(command)
            case Take():
                self._handle(self._names.take(command.update))
            case _:
                raise AssertionError(f"{command} without a stream to send it on")
