"""One SDS stream as a value: requests and news in, answers out. No socket, no clock, no secret.

The rules are those of Istio's agent (state of the world, one subscription per stream), with two differences.
A name that we do not have, for now or for ever, is denied and the stream stays, where Istio's agent yields
the private key, or ends the stream. And before the first credential we wait.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

MOST_NAMES: Final = 1024
"""Secrets of one stream. Envoy opens a stream for each."""


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
class Denial:
    """One response that says why there is no such secret. Envoy then goes on without waiting for it."""

    name: str
    why: str
    nonce: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse:
    """End the stream: the request is malformed."""

    why: str


Answer = Reply | Denial | Refuse


class SdsSession:
    """``mint`` makes nonces."""

    def __init__(self, mint: Callable[[], str]) -> None:
        self._mint = mint
        self._introduced = False
        self._wanted: tuple[str, ...] = ()
        self._available: set[str] = set()
        self._denied: dict[str, str] = {}
        self._nonce = ""

    @property
    def wanted(self) -> tuple[str, ...]:
        return self._wanted

    def request(self, asked: Asked) -> list[Answer]:
        self._introduced = self._introduced or bool(asked.node_id)
        if not self._introduced:
            return [Refuse(why="missing node information")]
        if len(asked.names) > MOST_NAMES:
            return [Refuse(why=f"{len(asked.names)} secrets in one stream; {MOST_NAMES} are the most")]
        # Late: it answers a response that another one has overtaken.
        late = self._nonce and asked.nonce not in ("", self._nonce)
        if late or asked.rejected:
            return []
        known = self._wanted if asked.nonce else ()
        self._wanted = tuple(dict.fromkeys(asked.names))
        new = tuple(name for name in self._wanted if name not in known)
        there = tuple(name for name in new if name in self._available)
        answers: list[Answer] = [self._reply(there)] if there else []
        return answers + [self._denial(name) for name in new if name in self._denied]

    def change(self, names: Iterable[str]) -> list[Reply]:
        """These secrets are there, and new. One reply for each that is wanted, as Istio does."""
        due = tuple(dict.fromkeys(names))
        self._available |= set(due)
        for name in due:
            self._denied.pop(name, None)
        return [self._reply((name,)) for name in due if name in self._wanted]

    def deny(self, reasons: Mapping[str, str]) -> list[Denial]:
        """These are not there. What was there before stays where it is: nobody is told."""
        new = {
            name: why for name, why in reasons.items() if name not in self._available | self._denied.keys()
        }
        self._denied |= new
        return [self._denial(name) for name in new if name in self._wanted]

    def forget(self, name: str) -> None:
        """Nobody looks after it any more: what was known of it is void."""
        self._available.discard(name)
        self._denied.pop(name, None)

    def _reply(self, names: tuple[str, ...]) -> Reply:
        self._nonce = self._mint()
        return Reply(names=names, nonce=self._nonce)

    def _denial(self, name: str) -> Denial:
        self._nonce = self._mint()
        return Denial(name=name, why=self._denied[name], nonce=self._nonce)
