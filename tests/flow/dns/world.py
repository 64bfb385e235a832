"""The world around the DNS server: clients, the host's resolv.conf, resolvers that misbehave on request."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from dnslib import DNSRecord

from vmagent.config.model import Address
from vmagent.dns.config import DnsConfig
from vmagent.dns.server import DnsServer
from vmagent.runtime.clock import SystemClock
from vmagent.runtime.latest import Latest
from vmagent.runtime.lifecycle import Tasks, run_parts
from vmagent.xds.names import NameEntry, NameTable

Behaviour = Callable[[bytes], Iterable[bytes]]
"""A question in, what the resolver sends back, in this order."""

LOCALHOST = "127.0.0.1"


async def until(fact: Callable[[], object]) -> None:
    """For facts that nobody announces, such as a counter of another thread."""
    async with asyncio.timeout(8):
        while not fact():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@dataclass
class Resolver(asyncio.DatagramProtocol):
    """One of the host's resolvers, at ``host``. Remembers what it was asked."""

    host: str
    behave: Behaviour
    udp: list[bytes] = field(default_factory=list)
    tcp: list[bytes] = field(default_factory=list)
    peer: Any = None
    """Who asked last, by UDP."""
    _transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.peer = addr
        self.udp.append(data)
        assert self._transport is not None
        for reply in self.behave(data):
            self._transport.sendto(reply, addr)

    async def accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                packet = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
                self.tcp.append(packet)
                for reply in self.behave(packet):
                    writer.write(struct.pack("!H", len(reply)) + reply)
                await writer.drain()
        writer.close()

    @contextlib.asynccontextmanager
    async def serving(self, port: int) -> AsyncIterator[Self]:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(self.host, port))
        server = await asyncio.start_server(self.accepted, self.host, port)
        try:
            yield self
        finally:
            transport.close()
            server.close()


def address(ip: str) -> Behaviour:
    """Every name has this address."""

    def behave(packet: bytes) -> Iterable[bytes]:
        return [reply_to(packet, records=[ip])]

    return behave


def verdict(rcode: int) -> Behaviour:
    return lambda packet: [reply_to(packet, rcode=rcode)]


def silence(packet: bytes) -> Iterable[bytes]:
    return ()


def reply_to(packet: bytes, *, rcode: int = 0, records: Iterable[str] = ()) -> bytes:
    """A reply with addresses, made of bytes so that any question will do."""
    raw = b"".join(b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4" + socket.inet_aton(ip) for ip in records)
    end = packet.index(b"\0", 12) + 5
    counts = struct.pack("!HHHH", 1, len(raw) // 16, 0, 0)
    return packet[:2] + bytes((packet[2] | 0x80, 0x80 | rcode)) + counts + packet[12:end] + raw


@dataclass
class Host:
    """A VM with a running DNS server."""

    server: DnsServer
    where: Address
    resolv_conf: Path
    tables: Latest[NameTable]
    stop: asyncio.Event
    served: asyncio.Event

    async def learn(self, **names: str) -> None:
        """The control plane says what the mesh calls things; ``_`` stands for a dot."""
        self.tables.publish(
            {
                name.replace("_", "."): NameEntry(ips=tuple(ips.split()), registry="External")
                for name, ips in names.items()
            }
        )
        await until(lambda: self.server.names == len(names))

    async def ask(self, packet: bytes, *, within: float = 8, host: str = LOCALHOST) -> Any:
        return DNSRecord.parse(await self.exchange(packet, within=within, host=host))

    async def exchange(self, packet: bytes, *, within: float = 8, host: str = LOCALHOST) -> bytes:
        """The reply by UDP. Raises TimeoutError."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.connect((host, self.where.port))
            sock.send(packet)
            async with asyncio.timeout(within):
                return await asyncio.get_running_loop().sock_recv(sock, 65535)

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator["Stream"]:
        reader, writer = await asyncio.open_connection(LOCALHOST, self.where.port)
        try:
            yield Stream(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


@dataclass
class Stream:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def send(self, *packets: bytes) -> None:
        self.writer.write(b"".join(struct.pack("!H", len(packet)) + packet for packet in packets))

    async def receive(self) -> bytes:
        async with asyncio.timeout(8):
            return await self.reader.readexactly(int.from_bytes(await self.reader.readexactly(2), "big"))

    async def ended(self) -> bool:
        """The server has hung up."""
        try:
            async with asyncio.timeout(8):
                return await self.reader.read(1) == b""
        except ConnectionError:
            return True


@contextlib.asynccontextmanager
async def host(folder: Path, *resolvers: str, port: int = 53, **settings: Any) -> AsyncIterator[Host]:
    """``resolvers``: lines of resolv.conf, addresses may stand alone; ``port``: theirs."""
    resolv_conf = folder / "resolv.conf"
    resolv_conf.write_text(conf(*resolvers))
    values: dict[str, Any] = {
        "listen": Address(host=LOCALHOST, port=0),
        "namespace": "ns1",
        "domain": "ns1.svc.cluster.local",
        "resolv_conf": resolv_conf,
        "resolver_port": port,
    }
    tables: Latest[NameTable] = Latest()
    served, stop = asyncio.Event(), asyncio.Event()
    server = DnsServer(DnsConfig(**values | settings), tables, clock=SystemClock(), serving=served.set)
    where = server.bind()[0]
    async with Tasks() as tasks:
        tasks.start("agent", run_parts([server], stop))
        async with asyncio.timeout(5):
            await served.wait()
        try:
            yield Host(server, where, resolv_conf, tables, stop, served)
        finally:
            stop.set()


def conf(*lines: str) -> str:
    return "".join(f"{line}\n" if " " in line else f"nameserver {line}\n" for line in lines)
