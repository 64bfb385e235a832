"""Misbehaviour on request: what an agent must survive, switched on and off while the control plane runs.

Owns:      the table of faults, their values, and the news that one changed.
Does not:  misbehave itself: whoever would otherwise behave asks here (stream.py, front.py, certificates.py,
           authentication.py), and spoil.py makes bad resources of good ones.

Every default means "behave". Connections are dropped by ``ControlPlane.drop_connections``, since that is an
act and not a condition.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from lab.controlplane.timestamps import parse_duration

GARBAGE: Final = ("", "message", "resource", "bytes")

MOST_PADDING: Final = 256 * 1024 * 1024
"""Bytes; more than any message that a client would take."""


def _flag(text: str) -> bool:
    if text in ("on", "off"):
        return text == "on"
    raise ValueError(f"{text!r} is neither on nor off")


def _seconds(text: str) -> float:
    return 0.0 if text == "off" else parse_duration(text)


def _lifetime(text: str) -> float | None:
    return None if text == "off" else parse_duration(text)


def _bytes(text: str) -> int:
    units = {"k": 1024, "m": 1024**2}
    number, unit = (text[:-1], units[text[-1:].lower()]) if text[-1:].lower() in units else (text, 1)
    if text == "off":
        return 0
    if not number.isdecimal() or int(number) * unit > MOST_PADDING:
        raise ValueError(f"{text!r} is not a number of bytes up to {MOST_PADDING}, such as 500k or 30M")
    return int(number) * unit


def _garbage(text: str) -> str:
    value = "" if text == "off" else text
    if value not in GARBAGE:
        raise ValueError(f"{text!r} is none of off, {', '.join(filter(None, GARBAGE))}")
    return value


def _fault(default: Any, parse: Callable[[str], Any], text: str) -> Any:
    return field(default=default, metadata={"parse": parse, "help": text})


@dataclass(slots=True, kw_only=True)
class Faults:
    away: bool = _fault(False, _flag, "nothing listens on the discovery port; every connection breaks")
    half_open: bool = _fault(
        False, _flag, "connections are established and stay, and not a byte comes or is read"
    )
    hold: bool = _fault(False, _flag, "streams and requests are accepted and never answered")
    delay: float = _fault(0.0, _seconds, "DURATION before every response and every certificate")
    rate: int = _fault(0, _bytes, "BYTES a second to each client, at most")
    stream_age: float = _fault(0.0, _seconds, "every stream is closed after DURATION")
    refuse_streams: bool = _fault(False, _flag, "new streams: 'server is not ready', as after a start")
    refuse_tokens: bool = _fault(
        False, _flag, "tokens are answered as if they did not verify; client certificates still count"
    )
    certificate_ttl: float | None = _fault(
        None, _lifetime, "certificates are issued for DURATION, whatever was asked for"
    )
    expired_certificates: bool = _fault(False, _flag, "certificates are issued that ended an hour ago")
    expired_server: bool = _fault(False, _flag, "our own certificate for TLS ended yesterday")
    garbage: str = _fault(
        "",
        _garbage,
        "message (responses are no protobuf), resource (one cluster is none), bytes (no HTTP/2 inside TLS)",
    )
    refused_listener: bool = _fault(False, _flag, "a listener more, which Envoy refuses")
    padding: int = _fault(0, _bytes, "BYTES of clusters more, which nobody uses: very large pushes")
    _turn: asyncio.Event = field(default_factory=asyncio.Event, repr=False)
    """Set, and then exchanged for a new one, when any of these changes."""

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)
        if name != "_turn" and hasattr(self, "_turn"):
            self._turn.set()
            self._turn = asyncio.Event()

    @property
    def turn(self) -> asyncio.Event:
        """Set when the next change comes."""
        return self._turn

    async def changed(self, *, within: float | None = None) -> None:
        """Waits for the next change, or for so many seconds."""
        try:
            async with asyncio.timeout(within):
                await self._turn.wait()
        except TimeoutError:
            return

    async def before_answer(self) -> None:
        if self.delay:
            await asyncio.sleep(self.delay)
        while self.hold:
            await self.changed()

    async def stream_is_old(self) -> None:
        """Returns when a stream that begins now has to end."""
        clock = asyncio.get_running_loop().time
        began = clock()
        while True:
            left = began + self.stream_age - clock() if self.stream_age else None
            if left is not None and left <= 0:
                return
            await self.changed(within=left)

    def values(self) -> dict[str, Any]:
        return {each.name: getattr(self, each.name) for each in TABLE.values()}

    def set(self, given: Mapping[str, str]) -> None:
        """By the names of the table. Raises ValueError, and then changes nothing."""
        parsed = {}
        for name, text in given.items():
            fault = TABLE.get(name)
            if fault is None:
                raise ValueError(f"there is no fault {name!r}: {', '.join(TABLE)}")
            try:
                parsed[fault.name] = fault.metadata["parse"](text)
            except ValueError as why:
                raise ValueError(f"{name}: {why}") from why
        for name, value in parsed.items():
            setattr(self, name, value)

    def clear(self) -> None:
        for each in TABLE.values():
            setattr(self, each.name, each.default)


TABLE: Final = {each.name.replace("_", "-"): each for each in fields(Faults) if "parse" in each.metadata}
"""By the name that people write."""
