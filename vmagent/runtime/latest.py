"""The joint between two stages: one writer, many readers, only the newest value matters."""

import asyncio
from collections.abc import AsyncIterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Latest(Generic[T]):
    """A cell whose readers wait for change. A slow reader skips what it missed. One event loop only."""

    def __init__(self) -> None:
        self._value: T | None = None
        self._generation = 0
        self._changed = asyncio.Event()

    @property
    def value(self) -> T | None:
        """The newest value, or None before the first."""
        return self._value

    def publish(self, value: T) -> None:
        self._value = value
        self._generation += 1
        self._changed.set()
        self._changed = asyncio.Event()

    async def first(self) -> T:
        """The newest value, once there is one."""
        async for value in self.changes():
            return value
        raise AssertionError("changes() never ends")

    async def changes(self) -> AsyncIterator[T]:
        """The value current at the moment of asking, then each newer one."""
        seen = 0
        while True:
            while self._generation == seen:
                await self._changed.wait()
            seen = self._generation
            assert self._value is not None
            yield self._value
