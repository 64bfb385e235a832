"""Messages on their way to one peer, which may be slow.

Owns:      what may be left out when the peer does not keep up. What is left out was never sent, so the
           session sees no answer to it, as when one update overtakes another.
Does not:  write to a stream (upstream.py, relay.py).
Surprise:  it is bounded by the number of types and not by a count: an Envoy that is stopped for an hour holds
           one response of each type here, and gets that when it goes on.
"""

import asyncio
from dataclasses import replace

from vmagent.xds import types
from vmagent.xds.messages import Ask, Give


class Ended(Exception):
    """Nothing more comes through this outbox: its stream shall end."""


class Outbox:
    """Its identity is the identity of the stream. One reader."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, bool], Ask | Give] = {}
        self._news = asyncio.Event()
        self._ended = False

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, message: Ask | Give) -> None:
        """A newer message takes the place of the one of its kind that still waits."""
        kind = (message.type_url, _is_objection(message))
        self._waiting[kind] = _joined(self._waiting.get(kind), message)
        self._news.set()

    def end(self) -> None:
        self._ended = True
        self._news.set()

    async def get(self) -> Ask | Give:
        """Raises Ended."""
        while not self._ended:
            if self._waiting:
                return self._waiting.pop(next(iter(self._waiting)))
            self._news.clear()
            await self._news.wait()
        raise Ended


def _is_objection(message: Ask | Give) -> bool:
    """A rejection is to be heard although something newer was accepted; of health only the latest counts."""
    return isinstance(message, Ask) and bool(message.error) and message.type_url != types.HEALTH


def _joined(earlier: Ask | Give | None, message: Ask | Give) -> Ask | Give:
    if not isinstance(earlier, Give) or not isinstance(message, Give) or message.type_url in types.WHOLE:
        return message
    return replace(message, resources={**earlier.resources, **message.resources}, raw=b"")
