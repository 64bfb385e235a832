"""One GET of somebody's metrics on this machine, bounded in time and size.

Owns:      the connection and its thread; what counts as an answer.
Does not:  know what becomes of it (scrape.py).
Surprise:  the limit of time holds for the whole, however slowly the bytes drip: whoever waits shuts the
           connection down under the thread that reads it. And the body is read as it comes, so that it is
           never in memory beside what was made of it.
"""

import contextlib
import http.client
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urljoin, urlsplit

from vmagent.errors import Unavailable
from vmagent.runtime.lifecycle import start_thread
from vmagent.status.accept import format_of
from vmagent.status.exposition import Family, Format
from vmagent.status.reader import Reader

LOOPBACK: Final = ("127.0.0.1", "::1")
"""What ``localhost`` means, in this order, without asking a resolver that may be ourselves."""

CONNECT: Final = 1.0
"""Seconds. On one's own machine a connection is there at once, or its listener is stuck."""

MOST_REDIRECTS: Final = 3
"""``/metrics`` to ``/metrics/`` is one."""

SILENCE: Final = 60.0
"""Seconds between two pieces after which a thread ends that nobody waits for any more."""

_PIECE: Final = 64 * 1024
_REDIRECT: Final = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """``http://localhost:PORT`` ``path``; an answer of more than ``limit`` bytes is none."""

    port: int
    path: str
    limit: int


@dataclass(frozen=True, slots=True)
class Found:
    form: Format
    families: list[Family]


class Fetch:
    """Begins at once. Ask for its ``result`` exactly once."""

    def __init__(self, target: Target, headers: Mapping[str, str]) -> None:
        self._target = target
        self._headers = headers
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._given_up = False
        self._found: Found | None = None
        self._problem = "the reader crashed"
        self._thread = start_thread(f"scrape-{target.port}", self._run)

    def result(self, within: float) -> Found:
        """Raises Unavailable, with the reason, after ``within`` seconds at the latest."""
        self._thread.join(max(0.0, within))
        if self._thread.is_alive():
            with self._lock:
                self._given_up = True
                if self._socket:
                    _shut(self._socket)
            raise Unavailable(f"{self._name} did not answer in time")
        if self._found is None:
            raise Unavailable(f"{self._name}: {self._problem}")
        return self._found

    @property
    def _name(self) -> str:
        return f"http://localhost:{self._target.port}{self._target.path.partition('?')[0]}"

    def _run(self) -> None:
        try:
            self._found = self._follow(self._target.path)
        except (
            OSError,
            http.client.HTTPException,
            ValueError,
            Unavailable,
        ) as why:  # Malformed is a ValueError
            self._problem = str(why) or type(why).__name__

    def _follow(self, path: str) -> Found:
        for _ in range(MOST_REDIRECTS + 1):
            answer = self._get(path)
            if isinstance(answer, Found):
                return answer
            path = self._redirected(path, answer)
        raise Unavailable(f"more than {MOST_REDIRECTS} redirects")

    def _redirected(self, path: str, location: str) -> str:
        here = f"http://localhost:{self._target.port}"
        there = urlsplit(urljoin(here + path, location))
        if f"{there.scheme}://{there.netloc}" != here:
            raise Unavailable(f"it redirects to another server: {location[:200]!r}")
        return there.path + (f"?{there.query}" if there.query else "")

    def _get(self, path: str) -> Found | str:
        """What is there, or where to look instead."""
        connection = http.client.HTTPConnection("localhost", self._target.port)
        connection.sock = self._connect()
        try:
            connection.request("GET", path, headers={**self._headers, "Connection": "close"})
            with connection.getresponse() as response:
                location = response.getheader("Location")
                if response.status in _REDIRECT and location:
                    return location
                if response.status != http.HTTPStatus.OK:
                    raise Unavailable(f"it answered {response.status}")
                return self._read(response)
        finally:
            with self._lock:
                self._socket = None
            connection.close()

    def _connect(self) -> socket.socket:
        sock = _connect(self._target.port)
        with self._lock:
            if self._given_up:
                sock.close()
                raise Unavailable("too late")
            self._socket = sock
        return sock

    def _read(self, response: http.client.HTTPResponse) -> Found:
        form = format_of(response.getheader("Content-Type", ""))
        reader, size = Reader(form), 0
        while piece := response.read1(_PIECE):
            size += len(piece)
            if size > self._target.limit:
                raise Unavailable(f"it is larger than {self._target.limit} bytes")
            reader.feed(piece)
        if response.length:
            raise Unavailable(f"it breaks off after {size} bytes")
        return Found(form, reader.close())


def _connect(port: int) -> socket.socket:
    problem = OSError()
    for host in LOOPBACK:
        try:
            sock = socket.create_connection((host, port), CONNECT)
        except OSError as why:
            problem = problem if problem.errno else why
            continue
        sock.settimeout(SILENCE)
        return sock
    raise Unavailable(problem.strerror or "no connection in time") from problem


def _shut(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the peer was faster
        sock.shutdown(socket.SHUT_RDWR)
