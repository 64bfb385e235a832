"""A control plane that only looks at how it is spoken to: CA and ADS, each behind TLS of its own making.

Client certificates are taken if offered, as istiod does.
"""

import asyncio
import contextlib
import ssl
import warnings
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from cryptography import x509
from envoy.service.discovery.v3 import discovery_pb2

from lab.controlplane._pb import ca_pb2
from tests.authority import Authority
from tests.flow.envoy.parts import SERVICE
from vmagent.runtime.lifecycle import Tasks

ISTIOD = x509.DNSName("istiod.istio-system.svc")
CA_SERVICE = "istio.v1.auth.IstioCertificateService"


@dataclass(frozen=True)
class Call:
    """One call as it arrived. ``peer``: the client's SPIFFE name, "" where no certificate was shown, None
    without TLS."""

    peer: str | None
    metadata: dict[str, str]

    @property
    def token(self) -> str:
        return self.metadata.get("authorization", "").removeprefix("Bearer ")


@dataclass
class Port:
    """Where one of the two services listens. ``names`` are those of its certificate."""

    folder: Path
    clients: Authority
    authority: Authority = field(default_factory=Authority)
    names: tuple[x509.GeneralName, ...] = (ISTIOD,)
    host: str = "127.0.0.1"
    tls: bool = True
    newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
    number: int = 0
    calls: list[Call] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._peers: dict[str, str | None] = {}
        self._writers: set[asyncio.StreamWriter] = set()

    def peer(self, inner: str) -> str | None:
        return self._peers[inner.rpartition(":")[2]]

    def drop(self) -> None:
        """Every connection ends without a word."""
        for writer in tuple(self._writers):
            if not writer.is_closing():
                writer.transport.abort()

    @contextlib.asynccontextmanager
    async def open(self, inner: int) -> AsyncIterator[None]:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            peer = writer.get_extra_info("peercert") or {}
            uris = [value for kind, value in peer.get("subjectAltName", ()) if kind == "URI"]
            try:
                behind_reader, behind_writer = await asyncio.open_connection("127.0.0.1", inner)
            except ConnectionRefusedError:  # the server behind has ended
                writer.transport.abort()
                return
            port = str(behind_writer.get_extra_info("sockname")[1])
            self._peers[port] = "".join(uris) if self.tls else None
            self._writers.add(writer)
            try:
                async with Tasks() as tasks:
                    tasks.start("up", _pump(reader, behind_writer))
                    tasks.start("down", _pump(behind_reader, writer))
            finally:
                self._writers.discard(writer)

        context = self._context() if self.tls else None
        server = await asyncio.start_server(serve, self.host, self.number, ssl=context)
        self.number = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()
            self.drop()

    def _context(self) -> ssl.SSLContext:
        key, chain = self.authority.server(*self.names)
        pem = self.folder / f"{id(self)}.pem"
        pem.write_bytes(key + chain)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        context.set_alpn_protocols(["h2"])
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(cadata=self.clients.root_pem.decode())
        if self.newest < ssl.TLSVersion.TLSv1_2:
            context.set_ciphers("DEFAULT@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # that it is deprecated is the point
            context.minimum_version = min(self.newest, ssl.TLSVersion.TLSv1_2)
            context.maximum_version = self.newest
        return context


class Istiod:
    """``mesh`` signs workload certificates and is whom clients are trusted by."""

    def __init__(self, folder: Path) -> None:
        self.mesh = Authority("mesh")
        self.xds = Port(folder, self.mesh)
        self.ca = Port(folder, self.mesh)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((self._ads(), self._authority()))
        inner = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            async with self.xds.open(inner), self.ca.open(inner):
                yield
        finally:
            await server.stop(None)

    def _ads(self) -> Any:
        method = grpc.stream_stream_rpc_method_handler(self._stream)
        return grpc.method_handlers_generic_handler(SERVICE, {"StreamAggregatedResources": method})

    def _authority(self) -> Any:
        method = grpc.unary_unary_rpc_method_handler(
            self._sign,
            request_deserializer=ca_pb2.IstioCertificateRequest.FromString,
            response_serializer=ca_pb2.IstioCertificateResponse.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(CA_SERVICE, {"CreateCertificate": method})

    async def _stream(self, requests: AsyncIterator[bytes], context: Any) -> None:
        self.xds.calls.append(_call(self.xds, context))
        async for data in requests:
            request = discovery_pb2.DiscoveryRequest.FromString(data)
            if not request.response_nonce:
                empty = discovery_pb2.DiscoveryResponse(
                    version_info="1", nonce="1", type_url=request.type_url
                )
                await context.write(empty.SerializeToString())

    async def _sign(self, request: Any, context: Any) -> Any:
        self.ca.calls.append(_call(self.ca, context))
        chain = self.mesh.sign(request.csr, "spiffe://cluster.local/ns/istio-demo/sa/vm")
        return ca_pb2.IstioCertificateResponse(cert_chain=chain)


def _call(port: Port, context: Any) -> Call:
    metadata = {key: str(value) for key, value in context.invocation_metadata() or ()}
    return Call(peer=port.peer(context.peer()), metadata=metadata)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
