"""A probe, and an application for it."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator

from vmagent.health.config import Method, ProbeConfig


def probe(method: Method, *, host: str = "127.0.0.1", timeout: float = 1.0) -> ProbeConfig:
    return ProbeConfig(method=method, default_host=host, timeout=timeout)


class Application:
    """Hears one request per connection and answers as told."""

    def __init__(self, *answers: bytes) -> None:
        self._answers = list(answers)
        self.heard: list[bytes] = []
        self.peers: list[str] = []
        self.port = 0
        self._open: dict[asyncio.Task[None] | None, asyncio.StreamWriter] = {}

    @contextlib.asynccontextmanager
    async def running(
        self, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
    ) -> AsyncIterator["Application"]:
        server = await asyncio.start_server(self._serve, host, 0, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for writer in self._open.values():
                writer.transport.abort()
            await asyncio.gather(*(task for task in self._open if task))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open[asyncio.current_task()] = writer
        self.peers.append(writer.get_extra_info("peername")[0])
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            self.heard.append(await reader.readuntil(b"\r\n\r\n"))
            if self._answers:
                writer.write(self._answers.pop(0) if len(self._answers) > 1 else self._answers[0])
                await writer.drain()
            else:
                await reader.read()
        writer.close()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
