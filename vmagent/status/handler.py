"""One request to the agent's HTTP port: which path, who asks, what is answered.

Owns:      paths, methods, who may ask what.
Does not:  listen (endpoint.py) or know any part of the agent: it is given callables.

| path                        | methods | from         | answer                                            |
|-----------------------------|---------|--------------|---------------------------------------------------|
| /healthz/ready              | any     | anywhere     | 200 or 503; what is waited for, as JSON           |
| /metrics, /stats/prometheus | any     | anywhere (1) | 200: what agent, Envoy, application gave in time  |
| /debug/ndsz                 | any     | this machine | the name table; ``{}`` and 404 without one        |
| /quitquitquit, /drain       | POST    | this machine | 200 OK                                            |

(1) this machine only with METRICS_LOCALHOST_ACCESS_ONLY. Another machine gets 403, another method 405,
another path 404. A text is compressed for whoever takes gzip.
"""

import http.server
import io
import ipaddress
import json
import socket
import threading
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

from vmagent.errors import VmagentError
from vmagent.status.accept import takes_gzip
from vmagent.status.scrape import LONGEST, Scraper

REQUEST_TIMEOUT: Final = 5.0
"""Seconds a client may keep us waiting: for the whole of its request, and to take a piece of the answer."""

ANSWER_TIMEOUT: Final = 60.0
"""Seconds it has to take the whole answer."""

MOST_SCRAPES: Final = 4
"""At a time: each may hold megabytes. The next one waits for one to end."""

WORTH_PACKING: Final = 1400
"""Bytes: what fits into one packet is not compressed."""

_PIECE: Final = 64 * 1024
_PLAIN: Final = "text/plain; charset=utf-8"
_JSON: Final = "application/json"

_ENVOY_INBOUND: Final = ipaddress.ip_address("127.0.0.6")
"""From here Envoy passes on what came from other machines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Actions:
    """What may be asked of the agent from its own machine. Called from threads of this port; may block for
    seconds; raise VmagentError for what cannot be done. None: there is no such path.
    """

    quit: Callable[[], None] | None = None
    """End now, without draining."""
    drain: Callable[[], None] | None = None
    """Ask Envoy to let its connections go; returns when Envoy has been told."""
    names: Callable[[], Mapping[str, Any] | None] | None = None
    """The name table, None as long as there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """``waiting`` tells which gates are closed and why; empty means ready."""

    waiting: Callable[[], Mapping[str, str]]
    remarks: Callable[[], Mapping[str, str]] = dict
    """What is not as it should be although we are ready: part to sentence."""
    scraper: Scraper | None = None
    """None: no metrics."""
    private: bool = False
    """Metrics for this machine only."""
    actions: Actions = field(default_factory=Actions)
    turns: threading.BoundedSemaphore = field(
        default_factory=lambda: threading.BoundedSemaphore(MOST_SCRAPES)
    )


class Serving(Protocol):
    service: Service


class _Request(io.RawIOBase):
    """What a client sends, until the deadline: a timeout of the socket alone begins anew with every byte."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._deadline = time.monotonic() + REQUEST_TIMEOUT

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        """Raises TimeoutError."""
        _wait_at_most(self._connection, self._deadline - time.monotonic())
        return self._connection.recv_into(buffer)


def _wait_at_most(connection: socket.socket, seconds: float) -> None:
    """With the next operation. Raises TimeoutError if there is no time left."""
    if seconds <= 0:
        raise TimeoutError
    connection.settimeout(seconds)


class Handler(http.server.BaseHTTPRequestHandler):
    server: Serving  # type: ignore[assignment]  # the library names its own class; we need one attribute of it

    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        self.rfile = io.BufferedReader(_Request(self.connection))

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        match path:
            case "/healthz/ready":
                self._readiness(self.server.service)
            case "/metrics" | "/stats/prometheus" if scraper := self.server.service.scraper:
                if self._allowed(private=self.server.service.private):
                    self._metrics(scraper)
            case "/debug/ndsz" if names := self.server.service.actions.names:
                if self._allowed(private=True):
                    table = names()
                    self._json(HTTPStatus.OK if table is not None else HTTPStatus.NOT_FOUND, table or {})
            case "/quitquitquit" if action := self.server.service.actions.quit:
                self._act(action)
            case "/drain" if action := self.server.service.actions.drain:
                self._act(action)
            case _:
                self._say(HTTPStatus.NOT_FOUND, f"there is nothing at {path}")

    do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_GET

    def _allowed(self, *, private: bool) -> bool:
        """Whether the peer may ask this; if not, it has been told."""
        if private and not local(self.client_address[0]):
            self._say(HTTPStatus.FORBIDDEN, "this is answered on the machine itself only")
            return False
        return True

    def _readiness(self, service: Service) -> None:
        if waiting := service.waiting():
            self._json(HTTPStatus.SERVICE_UNAVAILABLE, waiting)
        else:
            self._json(HTTPStatus.OK, service.remarks())

    def _act(self, action: Callable[[], None]) -> None:
        if not self._allowed(private=True):
            return
        if self.command != "POST":
            self._say(HTTPStatus.METHOD_NOT_ALLOWED, "POST does this", ("Allow", "POST"))
            return
        try:
            action()
        except VmagentError as why:
            self._say(HTTPStatus.INTERNAL_SERVER_ERROR, str(why))
        else:
            self._say(HTTPStatus.OK, "OK")

    def _metrics(self, scraper: Scraper) -> None:
        turns = self.server.service.turns
        if not turns.acquire(timeout=LONGEST):
            self._say(HTTPStatus.SERVICE_UNAVAILABLE, f"{MOST_SCRAPES} scrapes are under way")
            return
        try:
            answer = scraper.scrape(self.headers, self.path.partition("?")[2])
            self._send(HTTPStatus.OK, answer.form.value, answer.pieces)
        finally:
            turns.release()

    # --- sending --------------------------------------------------------------------------------------------

    def _say(self, status: HTTPStatus, text: str, *headers: tuple[str, str]) -> None:
        self._send(status, _PLAIN, [text.encode(errors="replace")], *headers)

    def _json(self, status: HTTPStatus, document: Mapping[str, Any]) -> None:
        self._send(status, _JSON, [json.dumps(dict(document)).encode() + b"\n"])

    def _send(
        self, status: HTTPStatus, kind: str, pieces: Sequence[bytes], *headers: tuple[str, str]
    ) -> None:
        more = list(headers)
        if sum(map(len, pieces)) >= WORTH_PACKING:
            more.append(("Vary", "Accept, Accept-Encoding"))
            if takes_gzip(self.headers.get("Accept-Encoding", "")):
                pieces = packed(pieces)
                more.append(("Content-Encoding", "gzip"))
        deadline = time.monotonic() + ANSWER_TIMEOUT
        self.connection.settimeout(REQUEST_TIMEOUT)
        self.send_response(status)
        for name, value in (("Content-Type", kind), ("Content-Length", str(sum(map(len, pieces)))), *more):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            for piece in pieces:
                for start in range(0, len(piece), _PIECE):
                    _wait_at_most(self.connection, min(REQUEST_TIMEOUT, deadline - time.monotonic()))
                    self.wfile.write(piece[start : start + _PIECE])

    def version_string(self) -> str:
        return "istio-agent"

    def log_message(self, format: str, *args: Any) -> None:
        """Silent: readiness is asked for every second."""


def local(host: str) -> bool:
    """Whether a peer is on this machine, and not somebody else's traffic that Envoy passes on."""
    address = ipaddress.ip_address(host.partition("%")[0])
    plain = (address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None) or address
    return plain.is_loopback and plain != _ENVOY_INBOUND


def packed(pieces: Sequence[bytes]) -> list[bytes]:
    """Fast rather than small: text of metrics shrinks to a tenth either way, and the CPU is the
    application's.
    """
    gzip = zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    made = [gzip.compress(piece) for piece in pieces]
    return [piece for piece in (*made, gzip.flush()) if piece]
