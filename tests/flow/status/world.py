"""An application with metrics, the agent's port in front of it, and somebody who asks."""

import asyncio
import http.client
import http.server
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from vmagent.runtime.clock import SystemClock
from vmagent.runtime.lifecycle import Tasks
from vmagent.status.endpoint import Endpoint
from vmagent.status.exposition import Metric, Sample
from vmagent.status.handler import Actions, Service
from vmagent.status.scrape import Scraper, Sources

Reply = Callable[["Asked"], None]

TEXT = "text/plain; version=0.0.4"


class Asked(http.server.BaseHTTPRequestHandler):
    """A request to the application, and the means to answer it well or badly."""

    server: "Application"

    def do_GET(self) -> None:
        self.server.asked.append((self.path, dict(self.headers)))
        self.server.reply(self)

    def answer(
        self, body: bytes, *, kind: str = TEXT, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Silent."""


class Application(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, reply: Reply) -> None:
        super().__init__(("127.0.0.1", 0), Asked)
        self.reply = reply
        self.asked: list[tuple[str, Mapping[str, str]]] = []

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """The agent hangs up on whoever is too slow: that is what is tested."""


@contextmanager
def application(reply: Reply | str) -> Iterator[Application]:
    """A text: that is what it always answers."""
    text = reply
    server = Application((lambda asked: asked.answer(text.encode())) if isinstance(text, str) else text)
    thread = threading.Thread(target=lambda: server.serve_forever(0.01))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def own() -> Sequence[Metric]:
    return [Metric(name="vmagent_test", kind="gauge", help="", samples=(Sample(value=1),))]


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    def failures(self, kind: str) -> int:
        prefix = f'istio_agent_scrape_failures_total{{type="{kind}"}} '
        return int(next(line for line in self.text.splitlines() if line.startswith(prefix))[len(prefix) :])


@dataclass(frozen=True, slots=True)
class Port:
    number: int
    waiting: dict[str, str] = field(default_factory=dict)

    def ask(
        self,
        path: str,
        headers: Mapping[str, str] | None = None,
        *,
        method: str = "GET",
        source: str = "127.0.0.1",
    ) -> Answer:
        """``source`` 127.0.0.6 is as good as another machine."""
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.number, timeout=20, source_address=(source, 0)
        )
        try:
            connection.request(method, path, headers=dict(headers or {}))
            response = connection.getresponse()
            return Answer(response.status, dict(response.headers), response.read())
        finally:
            connection.close()


@asynccontextmanager
async def agent(
    *applications: tuple[int, str],
    envoy: int = 0,
    facts: Callable[[], Sequence[Metric]] = own,
    private: bool = False,
    actions: Actions | None = None,
) -> AsyncIterator[Port]:
    waiting: dict[str, str] = {}
    scraper = Scraper(Sources(envoy=envoy, applications=applications), facts, SystemClock().monotonic)
    service = Service(waiting=lambda: waiting, scraper=scraper, private=private, actions=actions or Actions())
    endpoint = Endpoint(0, service)
    async with Tasks() as tasks:
        part = tasks.start("status", endpoint.run())
        await asyncio.sleep(0)  # its turn to begin: a test may block the loop
        try:
            yield Port(endpoint.port, waiting)
        finally:
            await endpoint.drain()
            part.cancel()
