"""HTTP/1.1, as little of it as ``kubectl proxy``'s clients need: one request per connection, bounded in
every way.

Owns:      parsing of requests and writing of responses.
Does not:  know any path (api.py).
"""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from lab.controlplane.settings import Endpoint

log = logging.getLogger("api")

MAX_HEAD: Final = 16 * 1024
"""Bytes of request line and headers together."""
MAX_BODY: Final = 8 * 1024 * 1024
"""Bytes; an API server stores objects up to 1.5 MiB, and a document to apply may hold several."""
PATIENCE: Final = 10.0
"""Seconds a client may take to send its request, and again to read the answer."""
MAX_CONNECTIONS: Final = 64
MAX_WARNINGS: Final = 20
MAX_WARNING: Final = 300
"""Characters; a header of our own is not to be longer than what others refuse to read."""


JSON: Final = "application/json"


class BadRequest(Exception):
    """Not a request we can read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    method: str
    path: tuple[str, ...]
    """Segments, decoded."""
    query: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    body: Any
    """Anything JSON can say, or the text itself of another type."""
    status: HTTPStatus = HTTPStatus.OK
    content_type: str = JSON
    warnings: tuple[str, ...] = ()
    """What a client is to show its user beside the answer, as an API server sends it."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Further ones; our own words only."""


Handler = Callable[[HttpRequest], HttpResponse]


class HttpServer:
    def __init__(self, handle: Handler, refuse: Callable[[HTTPStatus, str], HttpResponse]) -> None:
        """``refuse`` words what the server itself has to say no to."""
        self._handle = handle
        self._refuse = refuse
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None] | None] = set()

    async def start(self, at: Endpoint) -> Endpoint:
        """Where it really listens."""
        self._server = await asyncio.start_server(self._serve, at.host, at.port, limit=MAX_HEAD)
        return Endpoint(at.host, self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            for task in self._tasks:
                if task is not None:
                    task.cancel()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._tasks.add(task)
        try:
            async with asyncio.timeout(PATIENCE):
                response = await self._respond(reader)
            async with asyncio.timeout(PATIENCE):
                writer.write(encode(response))
                await writer.drain()
        except (TimeoutError, ConnectionError, asyncio.IncompleteReadError) as why:
            log.debug("request not finished: %r", why)
        finally:
            writer.close()
            self._tasks.discard(task)

    async def _respond(self, reader: asyncio.StreamReader) -> HttpResponse:
        if len(self._tasks) > MAX_CONNECTIONS:
            return self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections")
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            method, target, length = parse_head(head)
        except asyncio.LimitOverrunError:
            return self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"more than {MAX_HEAD} bytes")
        except BadRequest as why:
            return self._refuse(HTTPStatus.BAD_REQUEST, str(why))
        if length > MAX_BODY:
            return self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {MAX_BODY} bytes")
        body = await reader.readexactly(length)
        parts = urlsplit(target)
        path = tuple(unquote(segment) for segment in parts.path.split("/") if segment)
        return self._handle(
            HttpRequest(method=method, path=path, query=dict(parse_qsl(parts.query)), body=body)
        )


def parse_head(head: bytes) -> tuple[str, str, int]:
    """Method, target and length of the body. Raises BadRequest."""
    lines = head.decode("latin-1").split("\r\n")
    match lines[0].split(" "):
        case [method, target, version] if version.startswith("HTTP/1.") and target.startswith("/"):
            pass
        case _:
            raise BadRequest("not an HTTP/1.1 request line")
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])
    }
    if "transfer-encoding" in headers:
        raise BadRequest("send a Content-Length instead of a Transfer-Encoding")
    length = headers.get("content-length", "0")
    if not length.isdecimal():
        raise BadRequest("Content-Length is not a number")
    return method, target, int(length)


def encode(response: HttpResponse) -> bytes:
    # A date that YAML recognised in somebody's document is written back as its text.
    if response.content_type == JSON:
        body = json.dumps(response.body, default=str).encode() + b"\n"
    else:
        body = str(response.body).encode()
    lines = [
        f"HTTP/1.1 {response.status.value} {response.status.phrase}",
        f"Content-Type: {response.content_type}",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *(f"{name}: {value}" for name, value in response.headers.items()),
        *(f'Warning: 299 - "{_quoted(each)}"' for each in response.warnings[:MAX_WARNINGS]),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def _quoted(text: str) -> str:
    """Fit for a header, whatever somebody called a field of his document."""
    plain = "".join(each if each.isascii() and each.isprintable() else "?" for each in text)
    return plain[:MAX_WARNING].replace("\\", "\\\\").replace('"', '\\"')
