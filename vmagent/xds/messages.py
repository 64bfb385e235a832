"""What happens on the two streams, and what is to be done about it: the vocabulary of session.py.

Does not:  know how any of it looks on the wire (sotw.py, delta.py). The two variants differ in what a request
           can say, so requests and subscriptions exist twice; what is sent of resources exists once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from vmagent.xds.lastgood.content import Section
from vmagent.xds.resources import Blob

# Events


@dataclass(frozen=True, slots=True)
class UpstreamOpened:
    """A new stream to the control plane, incremental or not: everything on the old one is void."""

    delta: bool = False


@dataclass(frozen=True, slots=True)
class UpstreamClosed:
    """The stream to the control plane ended: nothing can be asked until the next one opens."""


@dataclass(frozen=True, slots=True)
class Update:
    """The control plane sent resources: ``name -> serialized message``; incrementally (``delta``) it may also
    say which are no more. ``raw`` is the response as received.
    """

    type_url: str
    version: str
    nonce: str
    resources: Mapping[str, bytes]
    raw: bytes | Blob = b""
    removed: tuple[str, ...] = ()
    delta: bool = False


@dataclass(frozen=True, slots=True)
class EnvoyOpened:
    """Envoy opened a stream, incremental or not."""

    delta: bool = False


@dataclass(frozen=True, slots=True)
class EnvoyClosed:
    """No Envoy is connected: updates are held for the next one."""


@dataclass(frozen=True, slots=True)
class Request:
    """Envoy subscribes, accepts (``nonce``) or rejects (``nonce`` and ``error``). ``names`` are all it wants
    now.
    """

    type_url: str
    names: frozenset[str] = frozenset()
    nonce: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class DeltaRequest:
    """The same, incrementally. ``versions`` tells in the first request of a type what this Envoy has from an
    earlier stream, by name.
    """

    type_url: str
    subscribe: frozenset[str] = frozenset()
    unsubscribe: frozenset[str] = frozenset()
    versions: Mapping[str, str] = field(default_factory=dict)
    nonce: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The agent itself has looked at an update of one of its own types; ``error`` empty means accepted."""

    type_url: str
    nonce: str
    error: str = ""


@dataclass(frozen=True, slots=True)
class Health:
    """The application's health changed; ``error`` empty means healthy."""

    error: str = ""


@dataclass(frozen=True, slots=True)
class Quiet:
    """For a while nothing has come from either side."""


@dataclass(frozen=True, slots=True)
class Restored:
    """The control plane is not there: this is what the last run had of it."""

    sections: tuple[Section, ...]


Event = (
    UpstreamOpened
    | UpstreamClosed
    | Update
    | EnvoyOpened
    | EnvoyClosed
    | Request
    | DeltaRequest
    | Verdict
    | Health
    | Quiet
    | Restored
)


# Commands


@dataclass(frozen=True, slots=True)
class Ask:
    """Send to the control plane: a subscription, an acknowledgement, a rejection or the health report."""

    type_url: str
    names: frozenset[str] = frozenset()
    version: str = ""
    nonce: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class DeltaAsk:
    """The same, incrementally: what is subscribed to in addition and no more, or an answer, never both.

    ``first`` begins a type on this stream; ``versions`` then tells what is here already, by name.
    """

    type_url: str
    subscribe: frozenset[str] = frozenset()
    unsubscribe: frozenset[str] = frozenset()
    versions: Mapping[str, str] = field(default_factory=dict)
    nonce: str = ""
    error: str = ""
    first: bool = False


@dataclass(frozen=True, slots=True)
class Give:
    """Send to Envoy. ``raw`` holds the bytes to pass on, but for the nonce, when the update goes through as
    it came. ``delta``: incrementally; only then ``removed`` and ``versions`` can be said.
    """

    type_url: str
    version: str
    nonce: str
    resources: Mapping[str, bytes]
    raw: bytes | Blob = b""
    removed: frozenset[str] = frozenset()
    versions: Mapping[str, str] = field(default_factory=dict)
    delta: bool = False
    refused: Mapping[str, str] = field(default_factory=dict)
    """Resources whose newest version this Envoy cannot have, with the reason; their last good ones are in
    ``resources``, where there are some.
    """


@dataclass(frozen=True, slots=True)
class Take:
    """An update of one of the agent's own types; answer with a ``Verdict``."""

    update: Update


Command = Ask | DeltaAsk | Give | Take
