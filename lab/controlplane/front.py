"""TLS with an optional client certificate, in front of a plaintext gRPC server on loopback.

Owns:      the handshake, and the knowledge which peer stands behind which connection to the inner server.
Does not:  know gRPC or who may do what.
Surprise:  gRPC for Python can demand a client certificate or not ask for one, nothing between; istiod takes
           one if it is offered and a token otherwise, on one port. So the handshake is done here, and the
           inner server recognises the peer by the source port of its connection. An inner connection that
           did not come through here has no peer and is refused.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.controlplane.settings import Endpoint

log = logging.getLogger("front")

_CHUNK: Final = 64 * 1024
_HANDSHAKE: Final = 10.0
"""Seconds a peer may take for its handshake."""
_LOOPBACK: Final = "127.0.0.1"
_EVERYWHERE: Final = "::"
"""Of IPv6, and there of IPv4 too."""
_BACKLOG: Final = 128
_GARBAGE: Final = b"\xff\x00 this is no frame of HTTP/2 \x00\xff" * 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    address: str
    certificate: bytes | None
    """DER, chained to our root by the handshake; None if the client offered none."""


def server_context(*, chain: Path, key: Path, root_pem: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(chain, key)
    context.load_verify_locations(cadata=root_pem.decode())
    context.verify_mode = ssl.CERT_OPTIONAL
    context.set_alpn_protocols(["h2"])
    return context


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How the front treats its clients. The defaults are good manners."""

    listening: bool = True
    """Otherwise connections are refused, as by a machine where nothing runs."""
    flowing: bool = True
    """Otherwise the kernel takes connections and nobody looks after them, nor after those that are there."""
    rate: int = 0
    """Bytes a second to each client; 0: as many as it takes."""
    garbage: bool = False
    """Inside of TLS it is not HTTP/2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """With a client that says nothing: seconds until it is asked, and until it counts as gone then. By TCP: a
    machine whose address went, or that lost its power, answers no packet.
    """

    interval: float = 30.0
    timeout: float = 10.0

    def impress(self, listening: socket.socket) -> None:
        """Connections inherit it."""
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        seconds = max(1, round(self.interval)), max(1, round(self.timeout)), 1
        options = socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT
        for option, value in zip(options, seconds, strict=True):
            listening.setsockopt(socket.IPPROTO_TCP, option, value)
        whole = round((self.interval + self.timeout) * 1000)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, whole)


class TlsFront:
    def __init__(self, context: ssl.SSLContext, inner_port: int, patience: Patience | None = None) -> None:
        self._patience = patience or Patience()
        self._context = context
        self._inner_port = inner_port
        self._peers: dict[int, Peer] = {}
        self._connections: dict[asyncio.Task[None] | None, asyncio.StreamWriter] = {}
        self._socket: socket.socket | None = None
        self._server: asyncio.Server | None = None
        self._manner = Manner()
        self._flows = asyncio.Event()
        self._flows.set()

    async def start(self, at: Endpoint) -> Endpoint:
        """Where it really listens. Raises OSError."""
        self._at = self._listen(at)
        await self._serve_on_socket()
        return self._at

    async def stop(self) -> None:
        await self.behave(Manner(listening=False))

    async def behave(self, manner: Manner, context: ssl.SSLContext | None = None) -> None:
        """From now on. ``context``: another certificate for connections to come. Raises OSError when the
        port is somebody else's by now."""
        self._manner = manner
        self._context = context or self._context
        self._end_serving()
        if manner.flowing:
            self._flows.set()
        else:
            self._flows.clear()
        if not manner.listening:
            await self._leave()
            return
        if self._socket is None:
            self._listen(self._at)
        if manner.garbage:
            self.drop_connections()
        if manner.flowing:
            await self._serve_on_socket()

    def drop_connections(self) -> None:
        """Every connection ends without a word, as when a machine loses power."""
        for writer in self._connections.values():
            writer.transport.abort()

    def peer(self, inner_peer: str) -> Peer | None:
        """Who is behind ``inner_peer``, written as gRPC names its peers: ``ipv4:127.0.0.1:40000``."""
        scheme, _, port = inner_peer.rpartition(":")
        return self._peers.get(int(port)) if scheme == f"ipv4:{_LOOPBACK}" and port.isdigit() else None

    def _listen(self, at: Endpoint) -> Endpoint:
        family = socket.AF_INET6 if ":" in at.host else socket.AF_INET
        self._socket = socket.create_server(
            (at.host, at.port), family=family, backlog=_BACKLOG, dualstack_ipv6=at.host == _EVERYWHERE
        )
        self._patience.impress(self._socket)
        return Endpoint(at.host, self._socket.getsockname()[1])

    async def _serve_on_socket(self) -> None:
        """A copy of the socket: the port stays ours, and full of clients, when nobody serves on it."""
        assert self._socket is not None
        self._server = await asyncio.start_server(
            self._serve, sock=self._socket.dup(), ssl=self._context, ssl_handshake_timeout=_HANDSHAKE
        )

    def _end_serving(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _leave(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self.drop_connections()
        await asyncio.gather(*(task for task in self._connections if task is not None))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.current_task()
        self._connections[connection] = writer
        try:
            if self._manner.garbage:
                writer.write(_GARBAGE)
                await writer.drain()
                return
            await self._relay(reader, writer)
        except OSError as why:
            log.warning("connection lost\terror=%s", why)
        finally:
            writer.close()
            del self._connections[connection]

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = _peer(writer)
        inner_reader, inner_writer = await asyncio.open_connection(_LOOPBACK, self._inner_port)
        port = inner_writer.get_extra_info("sockname")[1]
        self._peers[port] = peer
        try:
            await _until_one_ends(
                self._copy(reader, inner_writer), self._copy(inner_reader, writer, to_client=True)
            )
        finally:
            inner_writer.close()
            del self._peers[port]

    async def _copy(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, to_client: bool = False
    ) -> None:
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while data := await reader.read(_CHUNK):
                if to_client and self._manner.rate:
                    await asyncio.sleep(len(data) / self._manner.rate)
                await self._flows.wait()
                writer.write(data)
                await writer.drain()


async def _until_one_ends(*copies: Coroutine[object, object, None]) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each) for each in copies]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()


def _peer(writer: asyncio.StreamWriter) -> Peer:
    """Raises ConnectionResetError."""
    name = writer.get_extra_info("peername")
    if name is None:
        raise ConnectionResetError("gone right after the handshake")
    host, port = name[:2]
    certificate = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    return Peer(address=f"{host}:{port}", certificate=certificate)
