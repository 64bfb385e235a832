"""One ADS stream, as others may look at it: who is connected, what was sent, what was said to it."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from lab.controlplane.authentication import Caller
from lab.controlplane.proxy import Proxy
from lab.controlplane.registry import Key
from lab.controlplane.session import Session
from lab.controlplane.wire import Variant


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """The newest response of one type."""

    version: str
    nonce: str
    at: int
    """Nanoseconds of the epoch."""
    resources: int
    removed: int
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    id: str
    variant: Variant
    proxy: Proxy
    caller: Caller
    since: int
    """Nanoseconds of the epoch."""
    entry: Key | None
    """The WorkloadEntry it stands for."""
    session: Session
    news: "News" = field(default_factory=lambda: News())
    sent: dict[str, Sent] = field(default_factory=dict)
    """By type URL."""

    @property
    def accepted(self) -> Mapping[str, str]:
        """Type URL to the version acknowledged last."""
        return {url: watch.accepted for url, watch in self.session.watches.items() if watch.accepted}

    @property
    def rejected(self) -> Mapping[str, str]:
        """Type URL to the reason why the newest answered response was refused."""
        return {url: watch.reason for url, watch in self.session.watches.items() if watch.rejected}


class News:
    """That the world changed, as often as it may: whoever waits learns of the first time, once."""

    def __init__(self) -> None:
        self._there = asyncio.Event()
        self._changed = 0.0
        self._due = 0.0

    def tell(self, *, changed: float, due: float) -> None:
        """Two times of the event loop: of the change, and of the push that holds it."""
        if not self._there.is_set():
            self._changed, self._due = changed, due
            self._there.set()

    @property
    def waiting(self) -> bool:
        return self._there.is_set()

    async def come(self) -> None:
        await self._there.wait()

    def take(self) -> tuple[float, float]:
        self._there.clear()
        return self._changed, self._due
