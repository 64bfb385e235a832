"""Envoy's admin interface, seen by its supervisor.

Owns:      the few questions we ask, each with a limit in time and size; what the answers mean for readiness.
Does not:  remember. A fact is as old as the answer: readiness that was true once is not true for ever.
Surprise:  ``server.state`` has no value until Envoy flushes its statistics or has started, and without
           ``usedonly`` it would then read 0, which means LIVE.
"""

import asyncio
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from vmagent.errors import Unavailable

TIMEOUT: Final = 1.0
"""Seconds for one answer. Envoy answers from its main thread in about 1 ms; a big update keeps that busy."""

MAX_ANSWER: Final = 8 * 1024 * 1024
"""Bytes. Statistics are filtered; thousands of listeners make some hundred KB."""

_FACTS: Final = quote(
    r"^(server\.(state|hot_restart_epoch)|listener_manager\.workers_started"
    r"|(cluster_manager\.cds|listener_manager\.lds)\.update_(success|rejected))$",
    safe="",
)
_ACTIVE: Final = quote(r"^listener\..*\.downstream_cx_active$", safe="")
_LISTENER: Final = re.compile(r"listener\.(?P<name>.+)\.downstream_cx_active: (?P<count>\d+)")

_STATES: Final = ("LIVE", "DRAINING", "PRE_INITIALIZING", "INITIALIZING")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What Envoy says of itself. ``state`` is None as long as it says nothing."""

    state: int | None = None
    epoch: int = 0
    """Which Envoy it is that answers: during a hot restart the one before does for a while."""
    workers_started: bool = False
    clusters: int = 0
    """Cluster updates accepted; so ``listeners``."""
    listeners: int = 0
    clusters_rejected: int = 0
    listeners_rejected: int = 0
    advice: str = ""
    """What to do if listeners are rejected, where something is known."""

    @classmethod
    def parse(cls, text: str, *, advice: str = "") -> "Facts":
        """``name: value`` lines; an absent counter is 0, a line of another shape is not ours."""
        found: dict[str, int] = {}
        for line in text.splitlines():
            name, _, value = line.partition(": ")
            if value.isdigit():
                found[name] = int(value)
        return cls(
            state=found.get("server.state"),
            epoch=found.get("server.hot_restart_epoch", 0),
            workers_started=found.get("listener_manager.workers_started", 0) == 1,
            clusters=found.get("cluster_manager.cds.update_success", 0),
            listeners=found.get("listener_manager.lds.update_success", 0),
            clusters_rejected=found.get("cluster_manager.cds.update_rejected", 0),
            listeners_rejected=found.get("listener_manager.lds.update_rejected", 0),
            advice=advice,
        )

    @property
    def missing(self) -> str:
        """Empty: Envoy takes traffic. Else the sentence that the gate shows."""
        if not self.clusters or not self.listeners:
            rejected = self.clusters_rejected + self.listeners_rejected
            counts = f"clusters {self.clusters}, listeners {self.listeners}"
            if rejected:
                times = f"{rejected} times (accepted: {counts})"
                advice = f"; {self.advice}" if self.advice and self.listeners_rejected else ""
                return f"Envoy rejected its configuration {times}; its log says why{advice}"
            return f"Envoy waits for its configuration (accepted: {counts})"
        if self.state is None:
            return "Envoy is starting"
        if self.state != 0:
            name = _STATES[self.state] if self.state < len(_STATES) else str(self.state)
            return f"Envoy is {name}"
        return "" if self.workers_started else "Envoy's workers have not started"


class Admin:
    def __init__(self, host: str, port: int, *, advice: str = "") -> None:
        self._host = host
        self._port = port
        self._advice = advice

    async def facts(self) -> Facts:
        """Raises Unavailable, as everything here does, when there is no answer in time."""
        return Facts.parse(await self._ask("GET", f"/stats?usedonly&filter={_FACTS}"), advice=self._advice)

    async def drain_listeners(self, *, inbound_only: bool) -> None:
        """Envoy asks connections to leave, and stays: the supervisor decides when it goes."""
        await self._ask("POST", f"/drain_listeners?graceful&skip_exit{'&inboundonly' * inbound_only}")

    async def quit(self) -> None:
        await self._ask("POST", "/quitquitquit")

    async def active_connections(self, own_ports: frozenset[int]) -> int:
        """Downstream connections now, those to Envoy's own listeners (health, statistics, admin) left out."""
        return count_active(await self._ask("GET", f"/stats?usedonly&filter={_ACTIVE}"), own_ports)

    async def listening(self, port: int) -> bool:
        """Whether anybody takes connections on our own address there."""
        try:
            async with asyncio.timeout(TIMEOUT):
                _, writer = await asyncio.open_connection(self._host, port)
        except (OSError, TimeoutError):
            return False
        writer.close()
        return True

    async def _ask(self, method: str, path: str) -> str:
        try:
            async with asyncio.timeout(TIMEOUT):
                return await self._exchange(method, path)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError) as why:
            said = "no answer in time" if isinstance(why, TimeoutError) else str(why)
            raise Unavailable(f"Envoy's admin interface at {self._host}:{self._port}: {said}") from why

    async def _exchange(self, method: str, path: str) -> str:
        reader, writer = await asyncio.open_connection(self._host, self._port)
        try:
            length = "content-length: 0\r\n" if method == "POST" else ""
            head = f"{method} {path} HTTP/1.1\r\nhost: envoy\r\n{length}connection: close\r\n\r\n"
            writer.write(head.encode())
            status, chunked = await _head(reader)
            body = await (_chunks(reader) if chunked else _rest(reader))
        finally:
            writer.close()
        if status != 200:
            raise ValueError(f"{method} {path.partition('?')[0]} answered {status}: {body[:200]!r}")
        return body.decode(errors="replace")


def count_active(text: str, own_ports: frozenset[int]) -> int:
    total = 0
    for line in text.splitlines():
        match = _LISTENER.fullmatch(line)
        if match is None:
            continue
        name = match["name"]
        port = name.rpartition("_")[2]
        internal = name.startswith(("admin", "envoy_internal_")) or "worker_" in name
        if not internal and not (port.isdigit() and int(port) in own_ports):
            total += int(match["count"])
    return total


async def _head(reader: asyncio.StreamReader) -> tuple[int, bool]:
    """Status and whether the body comes in chunks. Raises ValueError for what is no such head."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError:
        raise ValueError("the answer has more headers than fit") from None
    first, *fields = head.decode("latin-1").lower().split("\r\n")
    words = first.split(" ")
    if len(words) < 2 or not words[0].startswith("http/1.") or not words[1].isdigit():
        raise ValueError("the answer is not HTTP")
    return int(words[1]), any(f.startswith("transfer-encoding:") and "chunked" in f for f in fields)


async def _rest(reader: asyncio.StreamReader) -> bytes:
    body = await reader.read(MAX_ANSWER)
    while more := await reader.read(65536):
        body += more
        if len(body) > MAX_ANSWER:
            raise ValueError(f"the answer is larger than {MAX_ANSWER} bytes")
    return body


async def _chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while size := int((await reader.readline()).split(b";")[0], 16):
        if len(body) + size > MAX_ANSWER:
            raise ValueError(f"the answer is larger than {MAX_ANSWER} bytes")
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    return bytes(body)
