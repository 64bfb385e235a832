"""A stock Envoy among Istio's proxies: what goes over the wire once their extensions are taken out."""

import asyncio
import contextlib
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.cluster.v3.filter_pb2 import Filter as ClusterFilter
from envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.http.router.v3.router_pb2 import Router
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
    HttpFilter,
)
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import DownstreamTlsContext, UpstreamTlsContext
from envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions
from google.protobuf.message import Message

from lab.controlplane import type_urls
from lab.controlplane.snapshot import tls
from lab.controlplane.snapshot.network_filters import tcp_proxy
from lab.controlplane.snapshot.packing import pack
from tests.authority import Authority
from tests.flow.envoy.parts import real, supervised
from tests.flow.xds.istio_peer import (
    MAGIC,
    PATIENCE,
    PEER_EXCHANGE,
    Exchanging,
    Identity,
    by_protocol,
    connected,
)
from tests.flow.xds.machine import Machine
from tests.flow.xds.plane import Plane, named, plane_on
from tests.ports import free_ports
from tests.unit.xds.compatibility.built import as_struct, typed
from vmagent.identity.credential import Credential
from vmagent.identity.spiffe import SpiffeId
from vmagent.identity.trust import Roots
from vmagent.xds.compatibility import adapting
from vmagent.xds.compatibility.alpn import Alpn

PEER = "spiffe://cluster.local/ns/istio-demo/sa/peer"
EXCHANGE = as_struct("envoy.tcp.metadataexchange.config.MetadataExchange")
ALPN = typed("istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig")
OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
PING = b"ping\n"


@dataclass
class Mesh:
    """The VM's Envoy behind the agent, and who else has a certificate of its authority."""

    plane: Plane
    peer: Identity
    port: int
    """Where the VM's Envoy listens."""

    async def play(self, listener: Listener, cluster: Cluster) -> None:
        listener.address.socket_address.address = "127.0.0.1"
        listener.address.socket_address.port_value = self.port
        await self.plane.play(
            {type_urls.CLUSTER: named(pack(cluster)), type_urls.LISTENER: named(pack(listener))}
        )
        assert self.plane.rejected == []


@contextlib.asynccontextmanager
async def in_a_mesh(tmp_path: Path) -> AsyncIterator[Mesh]:
    authority, config, [port] = Authority(), real(tmp_path), free_ports(1)
    async with plane_on("127.0.0.1:0") as (plane, upstream):
        vm = Machine(folder=tmp_path, port=upstream, roots=Roots(pem=b"", path=Path("none")), tls=False)
        vm.credentials.publish(credential(authority, tmp_path / "vm"))
        async with vm.running(), supervised(config):
            yield Mesh(plane, Identity(authority, PEER, tmp_path / "peer"), port)


@pytest.fixture
async def mesh(tmp_path: Path) -> AsyncIterator[Mesh]:
    async with in_a_mesh(tmp_path) as made:
        yield made


def credential(authority: Authority, folder: Path) -> Credential:
    spiffe = SpiffeId(trust_domain="cluster.local", namespace="istio-demo", service_account="vm")
    mine = Identity(authority, str(spiffe), folder)
    return Credential(
        spiffe=spiffe,
        key_pem=mine.key_pem,
        chain_pem=mine.chain_pem,
        root_pem=authority.root_pem,
        not_before=0.0,
        not_after=1e12,
    )


def cluster(port: int, *offered: str, options: Message | None = None) -> Cluster:
    """As istiod writes those of the mesh."""
    mesh_socket = tls.with_mesh_identity(sni="outbound_.80_._.peer", peers=[PEER], http2=False)
    made = Cluster(
        name="peer",
        type=Cluster.STATIC,
        connect_timeout={"seconds": 5},
        filters=[ClusterFilter(name="istio.metadata_exchange", typed_config=EXCHANGE)],
        transport_socket_matches=tls.by_endpoint(mesh_socket),
    )
    socket = made.transport_socket_matches[0].transport_socket
    context = UpstreamTlsContext.FromString(socket.typed_config.value)
    context.common_tls_context.alpn_protocols[:] = offered
    socket.typed_config.CopyFrom(pack(context))
    if options:
        made.typed_extension_protocol_options[OPTIONS].CopyFrom(pack(options))
    made.load_assignment.cluster_name = "peer"
    endpoint = made.load_assignment.endpoints.add().lb_endpoints.add()
    endpoint.endpoint.address.socket_address.address = "127.0.0.1"
    endpoint.endpoint.address.socket_address.port_value = port
    endpoint.metadata.filter_metadata["envoy.transport_socket_match"].update({"tlsMode": "istio"})
    return made


def plain(port: int) -> Cluster:
    """An application on this machine."""
    made = cluster(port)
    del made.transport_socket_matches[:]
    return made


def passing(*filters: Filter) -> Listener:
    """What comes is passed on as it is."""
    return Listener(name="bytes", filter_chains=[FilterChain(filters=[*filters, tcp_proxy("peer")])])


def terminating(*offered: str) -> Listener:
    """As istiod writes the inbound chain of a TCP port."""
    listener = passing(Filter(name="istio.metadata_exchange", typed_config=EXCHANGE))
    socket = tls.termination("cluster.local")
    context = DownstreamTlsContext.FromString(socket.typed_config.value)
    context.common_tls_context.alpn_protocols[:] = offered
    socket.typed_config.CopyFrom(pack(context))
    listener.filter_chains[0].transport_socket.CopyFrom(socket)
    return listener


def requesting() -> Listener:
    """As istiod writes the outbound chain of an HTTP port."""
    routes = RouteConfiguration(
        virtual_hosts=[
            {
                "name": "any",
                "domains": ["*"],
                "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "peer"}}],
            }
        ]
    )
    manager = HttpConnectionManager(
        stat_prefix="web",
        route_config=routes,
        http_filters=[
            HttpFilter(name="istio.alpn", typed_config=ALPN),
            HttpFilter(name="envoy.filters.http.router", typed_config=pack(Router())),
        ],
    )
    last = Filter(name="envoy.filters.network.http_connection_manager", typed_config=pack(manager))
    return Listener(name="web", filter_chains=[FilterChain(filters=[last])])


async def exchanged(port: int, data: bytes) -> bytes:
    """What an application that sends ``data`` gets."""
    async with asyncio.timeout(PATIENCE):
        reader, writer = await connected(port)
        writer.write(data)
        answer = await reader.read(4096)
        writer.close()
    return answer


async def fetched(port: int) -> str:
    (await connected(port))[1].close()

    def ask() -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=PATIENCE) as answer:
            return str(answer.read().decode())

    return await asyncio.to_thread(ask)


@contextlib.asynccontextmanager
async def application() -> AsyncIterator[tuple[int, list[bytes]]]:
    """Repeats what it gets. Its port, and what it got."""
    heard: list[bytes] = []

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(4096))
        writer.write(heard[-1])
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], heard


async def test_a_peer_that_exchanges_metadata_sends_the_application_no_preface(mesh: Mesh) -> None:
    peer = Exchanging(mesh.peer)
    async with peer.serving() as port:
        await mesh.play(passing(), cluster(port, PEER_EXCHANGE, "istio"))
        assert await exchanged(mesh.port, PING) == PING
    assert peer.heard == [PING]
    assert peer.negotiated == [None]


async def test_a_client_that_exchanges_metadata_sends_the_application_no_preface(mesh: Mesh) -> None:
    async with application() as (port, heard):
        await mesh.play(terminating(PEER_EXCHANGE, "h2", "http/1.1"), plain(port))
        assert await Exchanging(mesh.peer).call(mesh.port, PING) == (None, PING)
    assert heard == [PING]


@pytest.fixture
async def unheeding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Mesh]:
    """What the tests above guard against: an agent that takes out only the filter, and leaves the name."""
    monkeypatch.setattr(adapting, "Alpn", lambda *, lost: Alpn(lost=False))
    async with in_a_mesh(tmp_path) as made:
        yield made


async def test_with_the_name_left_in_its_list_the_application_of_a_client_would_read_a_preface(
    unheeding: Mesh,
) -> None:
    peer = Exchanging(unheeding.peer)
    async with peer.serving() as port:
        await unheeding.play(passing(), cluster(port, PEER_EXCHANGE, "istio"))
        answer = await exchanged(unheeding.port, PING)
    assert peer.negotiated == [PEER_EXCHANGE]
    assert answer[:4] == MAGIC.to_bytes(4)


async def test_with_the_name_left_in_its_list_the_application_of_a_server_would_read_a_preface(
    unheeding: Mesh,
) -> None:
    async with application() as (port, heard):
        await unheeding.play(terminating(PEER_EXCHANGE, "h2", "http/1.1"), plain(port))
        await Exchanging(unheeding.peer).call(unheeding.port, PING)
    assert heard[0][:4] == MAGIC.to_bytes(4)


@pytest.mark.parametrize(
    ("protocol", "offered", "answer"),
    [
        ({"http2_protocol_options": {}}, (PEER_EXCHANGE, "istio", "h2"), "the HTTP chain, by HTTP/2"),
        ({"http_protocol_options": {}}, (PEER_EXCHANGE, "istio"), "the HTTP chain, by HTTP/1.1"),
        (None, (PEER_EXCHANGE, "istio"), "the TCP chain"),
    ],
    ids=["http2", "http1", "not known"],
)
async def test_a_peer_chooses_its_chain_by_what_the_cluster_is_known_to_speak(
    mesh: Mesh, protocol: dict[str, dict[str, str]] | None, offered: tuple[str, ...], answer: str
) -> None:
    options = HttpProtocolOptions(explicit_http_config=protocol) if protocol else None
    async with by_protocol(mesh.peer) as port:
        await mesh.play(requesting(), cluster(port, *offered, options=options))
        assert await fetched(mesh.port) == answer
