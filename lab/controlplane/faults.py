"""Misbehaviour on request: what an agent must survive, switched on and off while the control plane runs.

Every default means "behave". Connections are dropped by ``ControlPlane.drop_connections``, since that is an
act and not a condition.
"""

import asyncio
from dataclasses import dataclass, field


@dataclass(slots=True, kw_only=True)
class Faults:
    refuse_tokens: bool = False
    """Every token is answered as one that did not verify; client certificates still count."""
    refuse_streams: bool = False
    """New streams end with UNAVAILABLE, as those of an istiod that has not synchronised yet."""
    certificate_ttl: float | None = None
    """Seconds; certificates get this lifetime whatever was asked for."""
    delay: float = 0.0
    """Seconds before every response on a stream and every certificate."""
    _flowing: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self._flowing.set()

    def hold(self) -> None:
        """No response leaves from now on: the peer accepts and then says nothing."""
        self._flowing.clear()

    def release(self) -> None:
        self._flowing.set()

    async def before_answer(self) -> None:
        if self.delay:
            await asyncio.sleep(self.delay)
        await self._flowing.wait()
