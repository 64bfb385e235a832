"""The agent's HTTP port (15020): readiness, metrics, and what only somebody on this machine may ask.

Owns:      paths, methods, who may ask what, and how many at a time.
Does not:  know any part of the agent: it is given callables, and calls them from its own threads.
Surprise:  answers from threads of its own: a busy event loop must not make a healthy machine look dead.

| path                          | methods   | from        | answer                                                |
|-------------------------------|-----------|-------------|-------------------------------------------------------|
| ``/healthz/ready``            | GET, HEAD | anywhere    | 200 or 503; what is waited for, as JSON               |
| ``/metrics``,                 | GET, HEAD | anywhere, or| 200: what could be had in time of agent, Envoy and    |
| ``/stats/prometheus``         |           | loopback ¹  | application                                           |
| ``/debug/ndsz``               | GET, HEAD | loopback    | the name table as JSON; 404 and ``{}`` without one    |
| ``/quitquitquit``, ``/drain`` | POST      | loopback    | 200 ``OK``                                            |

¹ METRICS_LOCALHOST_ACCESS_ONLY. Anything else is 404, another method 405, another machine 403.
"""

import asyncio
import ipaddress
import json
import logging
import socket
import socketserver
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from vmagent.errors import Misconfigured
from vmagent.runtime.lifecycle import start_thread
from vmagent.status.handler import Handler
from vmagent.status.scrape import Scraper

log = logging.getLogger("status")

POLL: Final = 0.1
"""Seconds until ``drain`` is noticed."""

MOST_STRANGERS: Final = 64
"""Connections from other machines at a time; more are closed. One's own (Envoy asks for readiness) are not
counted, so nobody outside can make this machine look dead.
"""

MOST_SCRAPES: Final = 4
"""At a time: each may hold megabytes. The next waits for one to end."""

_ENVOY_INBOUND: Final = ipaddress.ip_address("127.0.0.6")
"""Where Envoy says that traffic comes from which it lets through from other machines."""

Waiting = Callable[[], Mapping[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Actions:
    """What this port may do to the agent. All are called from threads of this port, may block for seconds, and
    raise VmagentError if it cannot be done. None: there is no such path.
    """

    quit: Callable[[], None] | None = None
    """End now, without draining."""
    drain: Callable[[], None] | None = None
    """Ask Envoy to let go of its connections; returns when Envoy has been told."""
    names: Callable[[], Mapping[str, Any] | None] | None = None
    """The name table, None as long as there is none."""


class Server(socketserver.ThreadingTCPServer):
    """``scraper`` None: no metrics. ``private``: metrics for this machine only."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(
        self, port: int, waiting: Waiting, *, scraper: Scraper | None, actions: Actions, private: bool
    ) -> None:
        self.waiting = waiting
        self.scraper = scraper
        self.actions = actions
        self.private = private
        self.scrapes = threading.BoundedSemaphore(MOST_SCRAPES)
        self._strangers = threading.BoundedSemaphore(MOST_STRANGERS)
        both = socket.has_dualstack_ipv6()
        self.address_family = socket.AF_INET6 if both else socket.AF_INET
        super().__init__(("::" if both else "0.0.0.0", port), Handler)

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:  # one socket for both families, as Istio's agent has
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def process_request(self, request: Any, client_address: Any) -> None:
        stranger = not local(client_address[0])
        if stranger and not self._strangers.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            if stranger:
                self._strangers.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            if not local(client_address[0]):
                self._strangers.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news; the rest is a bug, and one request is all that it costs."""
        log.debug("status port: a request from %s ended badly", client_address[0], exc_info=True)


class Endpoint:
    """A Part. Binds at once. ``waiting`` tells which gates are closed and why; it is called from other
    threads.

    Raises Misconfigured when the port is taken.
    """

    name = "status"
    grace = 1.0

    def __init__(
        self,
        port: int,
        waiting: Waiting,
        *,
        scraper: Scraper | None = None,
        actions: Actions | None = None,
        private: bool = False,
    ) -> None:
        try:
            self._server = Server(
                port, waiting, scraper=scraper, actions=actions or Actions(), private=private
            )
        except OSError as why:
            raise Misconfigured(
                f"status port {port} (defaultConfig.statusPort): cannot listen: {why.strerror}",
                hint=f"`ss -ltnp 'sport = :{port}'` shows who holds it: stop that, or choose another statusPort",
            ) from why

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    async def run(self) -> None:
        start_thread("status", lambda: self._server.serve_forever(POLL))
        await asyncio.Event().wait()

    async def drain(self) -> None:
        await asyncio.to_thread(self._server.shutdown)
        self._server.server_close()


def local(host: str) -> bool:
    """Whether a peer's address says that it is on this machine, and not only passed on by Envoy."""
    address = ipaddress.ip_address(host.partition("%")[0])
    plain = getattr(address, "ipv4_mapped", None) or address
    return plain.is_loopback and plain != _ENVOY_INBOUND


def encoded(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, indent=1).encode() + b"\n"
