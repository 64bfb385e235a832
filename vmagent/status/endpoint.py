"""The agent's HTTP port (15020): listens, on all addresses of both families, and hands requests on.

Owns:      the socket, the threads, and how many are served at a time.
Does not:  know paths (handler.py).
Surprise:  answers from threads of its own: a busy event loop must not make a healthy machine look dead.
"""

import asyncio
import errno
import logging
import socket
import socketserver
import sys
import threading
from typing import Any, Final

from vmagent.errors import Misconfigured
from vmagent.runtime import holder
from vmagent.runtime.lifecycle import start_thread
from vmagent.status.handler import Handler, Service, local

log = logging.getLogger("status")

POLL: Final = 0.1
"""Seconds until ``drain`` is noticed."""

MOST_STRANGERS: Final = 64
"""Connections from other machines at a time; more are closed. Those of this machine, where Envoy asks for
readiness, are counted by themselves: nobody outside can make it look dead by keeping us busy.
"""

MOST_LOCAL: Final = 256
"""Connections from this machine at a time: each is a thread of ours."""


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, port: int, service: Service) -> None:
        self.service = service
        self._strangers = threading.BoundedSemaphore(MOST_STRANGERS)
        self._local = threading.BoundedSemaphore(MOST_LOCAL)
        both = socket.has_dualstack_ipv6()
        self.address_family = socket.AF_INET6 if both else socket.AF_INET
        super().__init__(("::" if both else "0.0.0.0", port), Handler)

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:  # one socket for both families, as Istio's agent has
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """False: the connection is closed."""
        return self._places(client_address).acquire(blocking=False)

    def process_request(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request(request, client_address)
        except RuntimeError:  # the system has no thread for it, and so none that would give the place back
            self._places(client_address).release()
            self.shutdown_request(request)
            log.warning("a request from %s is not answered: no more threads", client_address[0])

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places(client_address).release()

    def _places(self, client_address: Any) -> threading.BoundedSemaphore:
        return self._local if local(client_address[0]) else self._strangers

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is no news. Anything else is a bug of ours, which costs one request."""
        if not isinstance(sys.exc_info()[1], OSError):
            log.error("a request from %s could not be answered", client_address[0], exc_info=True)


class Endpoint:
    """A Part. Binds at once. What ``service`` calls is called from other threads.

    Raises Misconfigured when the port is taken.
    """

    name = "status"
    grace = 1.0

    def __init__(self, port: int, service: Service) -> None:
        try:
            self._server = _Server(port, service)
        except OSError as why:
            if why.errno == errno.EADDRINUSE:
                raise holder.taken(port, "defaultConfig.statusPort") from why
            raise Misconfigured(
                f"status port {port} (defaultConfig.statusPort): cannot listen: {why.strerror}",
                hint="set another statusPort",
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
