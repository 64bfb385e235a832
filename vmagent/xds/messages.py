"""What happens on the two streams, and what is to be done about it: the vocabulary of session.py.

Does not:  know how any of it looks on the wire (sotw.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

# Events


@dataclass(frozen=True, slots=True)
class UpstreamOpened:
    """A new stream to the control plane: everything on the old one is void."""


@dataclass(frozen=True, slots=True)
class UpstreamClosed:
    """The stream to the control plane ended: nothing can be asked until the next one opens."""


@dataclass(frozen=True, slots=True)
class Update:
    """The control plane sent resources: ``name -> serialized message``. ``raw`` is the response as
    received.
    """

    type_url: str
    version: str
    nonce: str
    resources: Mapping[str, bytes]
    raw: bytes = b""


@dataclass(frozen=True, slots=True)
class EnvoyOpened:
    """Envoy opened a stream: it knows nothing yet, whatever an earlier one knew."""


@dataclass(frozen=True, slots=True)
class EnvoyClosed:
    """No Envoy is connected: updates are held for the next one."""


@dataclass(frozen=True, slots=True)
class Request:
    """Envoy subscribes, accepts (``nonce``) or rejects (``nonce`` and ``error``)."""

    type_url: str
    names: frozenset[str] = frozenset()
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


Event = UpstreamOpened | UpstreamClosed | Update | EnvoyOpened | EnvoyClosed | Request | Verdict | Health


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
class Give:
    """Send to Envoy. ``raw`` holds the bytes to pass on, but for the nonce, when the update goes through as
    it came.
    """

    type_url: str
    version: str
    nonce: str
    resources: Mapping[str, bytes]
    raw: bytes = b""
    refused: Mapping[str, str] = field(default_factory=dict)
    """Resources whose newest version this Envoy cannot have, with the reason; their last good ones are in
    ``resources``, where there are some.
    """


@dataclass(frozen=True, slots=True)
class Take:
    """An update of one of the agent's own types; answer with a ``Verdict``."""

    update: Update


Command = Ask | Give | Take
