"""The agent's HTTP port (15020): today ``/healthz/ready``, which Envoy's port 15021 passes on.

Answers from threads of its own: a busy event loop must not make a healthy machine look dead.
"""

import asyncio
import http.server
import json
import socket
import socketserver
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from vmagent.errors import Misconfigured
from vmagent.runtime.lifecycle import start_thread

REQUEST_TIMEOUT = 5.0
"""Seconds a client may take to send its request: a silent one must not hold a thread for ever."""

POLL = 0.1
"""Seconds until ``drain`` is noticed."""

READY = "/healthz/ready"

Waiting = Callable[[], Mapping[str, str]]


class _Handler(http.server.BaseHTTPRequestHandler):
    timeout = REQUEST_TIMEOUT
    server: "_Server"

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != READY:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        waiting = self.server.waiting()
        body = json.dumps(dict(waiting)).encode() + b"\n"
        self.send_response(HTTPStatus.SERVICE_UNAVAILABLE if waiting else HTTPStatus.OK)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: readiness is asked for every second."""


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, port: int, waiting: Waiting) -> None:
        self.waiting = waiting
        both = socket.has_dualstack_ipv6()
        self.address_family = socket.AF_INET6 if both else socket.AF_INET
        super().__init__(("::" if both else "0.0.0.0", port), _Handler)

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:  # one socket for both families, as Istio's agent has
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


class Endpoint:
    """A Part. Binds at once. ``waiting`` tells which gates are closed and why; it is called from other
    threads.

    Raises Misconfigured when the port is taken.
    """

    name = "status"
    grace = 1.0

    def __init__(self, port: int, waiting: Waiting) -> None:
        try:
            self._server = _Server(port, waiting)
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
