"""Peers that behave as Istio's proxies do, towards the Envoy of the agent.

``Exchanging`` is the wire protocol of metadata exchange on either end; ``by_protocol`` is a proxy that
chooses its filter chain by what the client offers.
"""

import asyncio
import contextlib
import json
import ssl
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from google.protobuf import any_pb2, struct_pb2

from tests.authority import Authority
from tests.flow.envoy.parts import BINARY
from tests.ports import free_ports

PEER_EXCHANGE = "istio-peer-exchange"
MAGIC = 0x3D230467
"""What a preface begins with; its length follows, and an Any with a Struct."""

MESH_HTTP = ("istio-http/1.0", "istio-http/1.1", "istio-h2")
MESH_TCP = (PEER_EXCHANGE, "istio")

PATIENCE = 20.0


def preface(workload: str) -> bytes:
    said = struct_pb2.Struct()
    said.update({"x-envoy-peer-metadata-id": workload})
    packed = any_pb2.Any()
    packed.Pack(said)
    data = packed.SerializeToString()
    return struct.pack("!II", MAGIC, len(data)) + data


@dataclass
class Identity:
    """A member of the mesh, and files of its key and chain."""

    authority: Authority
    spiffe: str
    folder: Path

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.key_pem, self.chain_pem = self.authority.server(x509.UniformResourceIdentifier(self.spiffe))
        for name, pem in (
            ("key.pem", self.key_pem),
            ("chain.pem", self.chain_pem),
            ("root.pem", self.authority.root_pem),
        ):
            (self.folder / name).write_bytes(pem)

    def context(self, purpose: ssl._SSLMethod, *protocols: str) -> ssl.SSLContext:
        """Mutual TLS; names are Envoy's business here."""
        context = ssl.SSLContext(purpose)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(self.folder / "chain.pem", self.folder / "key.pem")
        context.load_verify_locations(self.folder / "root.pem")
        context.set_alpn_protocols(list(protocols))
        return context


@dataclass
class Exchanging:
    """A TCP service behind Istio's proxy: repeats what it gets. Where ``istio-peer-exchange`` is negotiated,
    the proxy sends its preface before all else, as soon as it hears the client, and awaits the client's.
    """

    identity: Identity
    negotiated: list[str | None] = field(default_factory=list)
    heard: list[bytes] = field(default_factory=list)

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[int]:
        """The port."""
        context = self.identity.context(ssl.PROTOCOL_TLS_SERVER, PEER_EXCHANGE, "h2", "http/1.1")
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=context)
        async with server:
            yield server.sockets[0].getsockname()[1]

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        chosen = writer.get_extra_info("ssl_object").selected_alpn_protocol()
        self.negotiated.append(chosen)
        data = await reader.read(4096)
        self.heard.append(data)
        writer.write((preface("the peer") if chosen == PEER_EXCHANGE else b"") + data)
        await writer.drain()
        writer.close()

    async def call(self, port: int, data: bytes) -> tuple[str | None, bytes]:
        """As a client behind Istio's proxy: what was negotiated, and the answer."""
        context = self.identity.context(ssl.PROTOCOL_TLS_CLIENT, *MESH_TCP)
        async with asyncio.timeout(PATIENCE):
            reader, writer = await connected(port, context)
            chosen = writer.get_extra_info("ssl_object").selected_alpn_protocol()
            writer.write((preface("the client") if chosen == PEER_EXCHANGE else b"") + data)
            answer = await reader.read(4096)
            writer.close()
        return chosen, answer


@contextlib.asynccontextmanager
async def by_protocol(identity: Identity) -> AsyncIterator[int]:
    """A real Envoy with the filter chains that istiod makes for a port of no declared protocol: HTTP for who
    offers a protocol of ``istio.alpn``, bytes for who offers ``istio`` alone. Each answers with its name. The
    port.
    """
    [port] = free_ports(1)
    path = identity.folder / "peer.json"
    async with await asyncio.start_server(_answer_anything, "127.0.0.1", 0) as behind:
        path.write_text(json.dumps(_bootstrap(identity, port, behind.sockets[0].getsockname()[1])))
        arguments = ["-c", str(path), "--use-dynamic-base-id", "--log-level", "error", "--concurrency", "1"]
        process = await asyncio.create_subprocess_exec(str(BINARY), *arguments)
        try:
            (await connected(port))[1].close()
            yield port
        finally:
            process.terminate()
            await process.wait()


async def _answer_anything(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Behind the chain for bytes, in the form of an HTTP response."""
    await reader.read(4096)
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\nthe TCP chain")
    writer.close()


async def connected(
    port: int, context: ssl.SSLContext | None = None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """As soon as somebody listens there: a listener opens its port once its certificates have come."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await asyncio.open_connection("127.0.0.1", port, ssl=context)
            except ConnectionRefusedError:
                await asyncio.sleep(0.05)


def _bootstrap(identity: Identity, port: int, behind: int) -> dict[str, Any]:
    http = {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": {
            "@type": _type("filters.network.http_connection_manager.v3.HttpConnectionManager"),
            "stat_prefix": "http",
            "http_filters": [
                {
                    "name": "envoy.filters.http.router",
                    "typed_config": {"@type": _type("filters.http.router.v3.Router")},
                }
            ],
            "route_config": {"virtual_hosts": [_answering("the HTTP chain, by %PROTOCOL%")]},
        },
    }
    tcp = {
        "name": "envoy.filters.network.tcp_proxy",
        "typed_config": {
            "@type": _type("filters.network.tcp_proxy.v3.TcpProxy"),
            "stat_prefix": "tcp",
            "cluster": "behind",
        },
    }
    address = {"socket_address": {"address": "127.0.0.1", "port_value": behind}}
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": address}}]}]
    return {
        "node": {"id": "peer", "cluster": "peer"},
        "static_resources": {
            "listeners": [
                {
                    "name": "inbound",
                    "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
                    "listener_filters": [
                        {
                            "name": "envoy.filters.listener.tls_inspector",
                            "typed_config": {
                                "@type": _type("filters.listener.tls_inspector.v3.TlsInspector")
                            },
                        }
                    ],
                    "filter_chains": [
                        _chain(identity, "http", MESH_HTTP, ("h2", "http/1.1"), http),
                        _chain(identity, "tcp", MESH_TCP, (PEER_EXCHANGE, "h2", "http/1.1"), tcp),
                    ],
                }
            ],
            "clusters": [
                {"name": "behind", "load_assignment": {"cluster_name": "behind", "endpoints": endpoints}}
            ],
        },
    }


def _answering(text: str) -> dict[str, Any]:
    answer = {"status": 200, "body_format": {"text_format_source": {"inline_string": text}}}
    return {
        "name": "any",
        "domains": ["*"],
        "routes": [{"match": {"prefix": "/"}, "direct_response": answer}],
    }


def _chain(
    identity: Identity, name: str, offered: tuple[str, ...], taken: tuple[str, ...], last: dict[str, Any]
) -> dict[str, Any]:
    files = {key: {"filename": str(identity.folder / f"{key}.pem")} for key in ("chain", "key", "root")}
    context = {
        "@type": _type("transport_sockets.tls.v3.DownstreamTlsContext"),
        "require_client_certificate": True,
        "common_tls_context": {
            "alpn_protocols": taken,
            "tls_certificates": [{"certificate_chain": files["chain"], "private_key": files["key"]}],
            "validation_context": {"trusted_ca": files["root"]},
        },
    }
    return {
        "name": name,
        "filter_chain_match": {"transport_protocol": "tls", "application_protocols": offered},
        "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": context},
        "filters": [last],
    }


def _type(name: str) -> str:
    return f"type.googleapis.com/envoy.extensions.{name}"
