"""What istiod's TLS does and grpcio's server cannot: a client certificate is verified if one is given."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

from cryptography import x509

from tests.authority import Authority
from vmagent.runtime.lifecycle import Tasks


class TlsFront:
    """Ends TLS in front of a plaintext server. ``seen`` has the client's SPIFFE name, or "" for none, per
    connection."""

    def __init__(self, authority: Authority, name: str, clients: Authority, behind: int, place: Path) -> None:
        key, chain = authority.server(x509.DNSName(name))
        pem = place / "front.pem"
        pem.write_bytes(key + chain)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(pem)
        self._context.set_alpn_protocols(["h2"])
        self._context.verify_mode = ssl.CERT_OPTIONAL
        self._context.load_verify_locations(cadata=clients.root_pem.decode())
        self._behind = behind
        self.seen: list[str] = []
        self.port = 0
        self._serving: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            serving = set(self._serving)
            for task in serving:
                task.cancel()
            await asyncio.gather(*serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = writer.get_extra_info("peercert") or {}
        self.seen.append("".join(value for kind, value in peer.get("subjectAltName", ()) if kind == "URI"))
        behind_reader, behind_writer = await asyncio.open_connection("127.0.0.1", self._behind)
        mine = asyncio.current_task()
        assert mine is not None
        self._serving.add(mine)
        try:
            async with Tasks() as tasks:
                tasks.start("up", _pump(reader, behind_writer))
                tasks.start("down", _pump(behind_reader, writer))
        finally:
            self._serving.discard(mine)
            for each in (writer, behind_writer):
                if not each.is_closing():
                    each.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        writer.close()
