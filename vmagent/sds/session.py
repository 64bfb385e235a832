"""One SDS stream as a value: requests and changes in, answers out. No socket, no clock, no credential.

The rules are those of Istio's agent (state of the world, one subscription per stream), with two differences:
a name that we do not have ends the stream instead of yielding the private key, and before the first
credential we wait.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from vmagent.sds.secrets import NAMES


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What counts of a DiscoveryRequest. ``rejected``: Envoy's reason for not taking what ``nonce``
    carried."""

    node_id: str = ""
    names: tuple[str, ...] = ()
    nonce: str = ""
    rejected: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """One response with these secrets."""

    names: tuple[str, ...]
    nonce: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """End the stream. ``missing`` tells a name we do not have from a request that is malformed."""

    why: str
    missing: bool = False


class SdsSession:
    """``mint`` makes nonces."""

    def __init__(self, mint: Callable[[], str]) -> None:
        self._mint = mint
        self._introduced = False
        self._wanted: tuple[str, ...] = ()
        self._waiting: tuple[str, ...] = ()
        self._available = False
        self._nonce = ""

    def request(self, asked: Asked) -> Reply | Refuse | None:
        self._introduced = self._introduced or bool(asked.node_id)
        if not self._introduced:
            return Refuse(why="missing node information")
        if unknown := sorted(set(asked.names) - NAMES):
            quoted = ", ".join(repr(name[:100]) for name in unknown[:5])
            return Refuse(why=f"no secret named {quoted}; there are {', '.join(sorted(NAMES))}", missing=True)
        # Late: it answers a response that another one has overtaken.
        late = self._nonce and asked.nonce not in ("", self._nonce)
        if late or asked.rejected:
            return None
        known = self._wanted if asked.nonce else ()
        self._wanted = tuple(dict.fromkeys(asked.names))
        new = tuple(name for name in self._wanted if name not in known)
        if self._available:
            return self._reply(new) if new else None
        self._waiting = tuple(dict.fromkeys((*self._waiting, *new)))
        return None

    def change(self, names: Iterable[str]) -> list[Reply]:
        """There is a credential; ``names`` are the secrets it changed. One reply for each, as Istio does."""
        self._available = True
        due = tuple(dict.fromkeys((*names, *self._waiting)))
        self._waiting = ()
        return [self._reply((name,)) for name in due if name in self._wanted]

    def _reply(self, names: tuple[str, ...]) -> Reply:
        self._nonce = self._mint()
        return Reply(names=names, nonce=self._nonce)
