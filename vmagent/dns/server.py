"""The DNS part of the agent: binds in the build phase, serves in a thread of its own, follows the name table.

Owns:      the thread, and the hand-over of each new table to it by one assignment.
Does not:  answer (service.py and below).
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from vmagent.config.model import Address
from vmagent.dns.config import DnsConfig
from vmagent.dns.counters import Counters
from vmagent.dns.names import Home
from vmagent.dns.service import LAST_ANSWERS, Service
from vmagent.dns.sockets import Listening, listen
from vmagent.dns.table import Table
from vmagent.runtime.clock import Clock
from vmagent.runtime.latest import Latest
from vmagent.runtime.lifecycle import Tasks
from vmagent.runtime.watchdog import Pulse
from vmagent.xds.names import NameTable

log = logging.getLogger("dns")


TABLE_LIMIT: Final = 2.0
"""Seconds in which a control plane that is there has sent the names, at a restart. Programs ask again after
5 s.
"""


class DnsServer:
    """``bind``, then ``run`` until it is cancelled; ``drain`` before that lets the last questions be
    answered.
    """

    name = "dns"
    grace = LAST_ANSWERS + 1.0

    def __init__(
        self, config: DnsConfig, tables: Latest[NameTable], *, clock: Clock, serving: Callable[[], None]
    ) -> None:
        """``serving`` is called once, on the event loop, when questions are answered; this does not wait for
        a table.
        """
        self._config = config
        self._tables = tables
        self._clock = clock
        self._serving = serving
        self._home = Home.parse(namespace=config.namespace, domain=config.domain)
        self._sockets: Listening | None = None
        self._succeeds = False
        self._service: Service | None = None
        self._ended = asyncio.Event()
        self.pulse = Pulse("dns")
        self.counters = Counters()
        self.names = 0
        """Entries in the present name table."""
        self.has_table = False
        """Whether the control plane has ever said what the mesh calls things. Until then everything is
        forwarded.
        """

    def bind(self, inherited: Sequence[int] = ()) -> tuple[Address, ...]:
        """Open the sockets, or go on with those of a predecessor; where we listen. Raises Misconfigured if
        that is impossible.
        """
        self._sockets = listen(self._config.listen, inherited)
        self._succeeds = bool(inherited)
        return tuple(Address(host=host, port=port) for host, port in self._sockets.endpoints)

    @property
    def descriptors(self) -> tuple[int, ...]:
        """For whoever keeps the sockets for a successor. None before ``bind``."""
        return self._sockets.descriptors if self._sockets else ()

    def close(self) -> None:
        """For whoever cannot go on to ``run`` after ``bind``."""
        if self._sockets is not None:
            self._sockets.close()

    async def run(self) -> None:
        assert self._sockets is not None, "bind comes first"
        loop = asyncio.get_running_loop()
        service = Service(self._config, self._sockets, self.counters, self._clock.monotonic)
        self._service = service

        def ready() -> None:
            loop.call_soon_threadsafe(self._serving)

        if self._succeeds:
            await self._first_table(service)

        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="dns") as thread:
            try:
                async with Tasks() as tasks:
                    tasks.start("dns-tables", self._follow(service))
                    await loop.run_in_executor(thread, service.serve, ready, self.pulse)
                    self._ended.set()
            finally:
                service.stop()
                self._ended.set()

    async def drain(self) -> None:
        if self._service is not None:
            self._service.stop()
            await self._ended.wait()

    async def _first_table(self, service: Service) -> None:
        """Names of the mesh are captured already: forwarded, they would be told not to exist. Questions wait
        in the sockets meanwhile.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(TABLE_LIMIT):
                await self._learn(service, await self._tables.first())

    async def _follow(self, service: Service) -> None:
        async for names in self._tables.changes():
            await self._learn(service, names)

    async def _learn(self, service: Service, names: NameTable) -> None:
        # 10 000 services take 0.1 s to build: in another thread, so that the relay goes on meanwhile.
        table = await asyncio.to_thread(Table.build, names, self._home)
        service.resolver.table = table
        self.names, self.has_table = table.entries, True
        if table.skipped:
            log.warning(
                "name table: %d entries or names have no usable form; they are forwarded", table.skipped
            )
        log.info("name table: %d entries", table.entries)
