"""A gateway: the whole agent as a router, with a real Envoy, fed what a real istiod sent to one."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.service.discovery.v3 import discovery_pb2

from lab.controlplane import type_urls
from lab.controlplane.proxy import Proxy
from lab.controlplane.server import ControlPlane, on_any_port, running
from lab.controlplane.settings import Settings
from lab.controlplane.snapshot import Snapshot
from lab.controlplane.snapshot.packing import pack
from tests.conftest import RECORDINGS
from tests.flow.agent.machine import Life, Machine, directory
from tests.flow.agent.test_life import answers, ready
from tests.flow.xds.machine import until
from tests.ports import free_ports
from vmagent import reporting
from vmagent.xds import sotw

GATEWAY = RECORDINGS / "istiod-1.29.6" / "10b-egress-gateway-visible" / "egressgateway"
HTTPBIN = "outbound|80||httpbin.com"
SETTINGS = {
    "ISTIO_NAMESPACE": "istio-system",
    "POD_NAMESPACE": "istio-system",
    "SERVICE_ACCOUNT": "istio-egressgateway",
    "ISTIO_META_WORKLOAD_NAME": "istio-egressgateway",
    "ISTIO_META_AUTO_REGISTER_GROUP": "",
    "ISTIO_METAJSON_LABELS": '{"istio":"egressgateway"}',
}


ACCOUNT = """
apiVersion: v1
kind: Namespace
metadata: {name: istio-system}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: istio-egressgateway, namespace: istio-system}
"""


class Httpbin:
    """What lies outside of the mesh: tells each request's host."""

    def __init__(self) -> None:
        self.port = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower().splitlines()
                host = next(line for line in head if line.startswith("host:"))
                body = f"httpbin was asked for {host.removeprefix('host:').strip()}"
                writer.write(f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode())
                await writer.drain()
        writer.close()


def recorded(port: int, httpbin: int) -> Snapshot:
    """As it was sent, but for the gateway's port (80 is somebody else's here) and httpbin's address."""
    resources = {}
    for url, name in {
        type_urls.CLUSTER: "cds",
        type_urls.ENDPOINT: "eds",
        type_urls.LISTENER: "lds",
        type_urls.ROUTE: "rds",
        type_urls.NAME_TABLE: "nds",
    }.items():
        response = discovery_pb2.DiscoveryResponse.FromString((GATEWAY / f"{name}.pb").read_bytes())
        key = sotw.resource_name if url != type_urls.NAME_TABLE else lambda _: ""
        resources[url] = {key(each.value): each for each in response.resources}
    listener = Listener.FromString(resources[type_urls.LISTENER]["0.0.0.0_80"].value)
    listener.address.socket_address.port_value = port
    resources[type_urls.LISTENER] = {"0.0.0.0_80": pack(listener)}
    cluster = Cluster.FromString(resources[type_urls.CLUSTER][HTTPBIN].value)
    [locality] = cluster.load_assignment.endpoints
    address = locality.lb_endpoints[0].endpoint.address.socket_address
    address.address, address.port_value = "127.0.0.1", httpbin
    resources[type_urls.CLUSTER] |= {HTTPBIN: pack(cluster)}
    return Snapshot.of_resources(resources)


@pytest.fixture
async def control_plane(tmp_path: Path) -> AsyncIterator[ControlPlane]:
    (tmp_path / "resources").mkdir()
    (tmp_path / "resources" / "accounts.yaml").write_text(ACCOUNT)
    given = Settings(resources=tmp_path / "resources", state=tmp_path / "state", debounce=0.02)
    async with running(on_any_port(given)) as started:
        yield started


@pytest.fixture
def root() -> Iterator[Path]:
    with directory() as path:
        yield path


@contextlib.asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()


def ask(writer: asyncio.StreamWriter, host: str) -> None:
    writer.write(f"GET / HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())


async def answer(reader: asyncio.StreamReader) -> tuple[str, str]:
    """Head, in lower case, and body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = next(line for line in head.splitlines() if line.startswith("content-length:"))
    return head, (await reader.readexactly(int(length.partition(":")[2]))).decode()


@pytest.mark.skipif(not GATEWAY.exists(), reason="../shared/recordings is not present")
async def test_a_recorded_egress_gateway_carries_a_request_and_is_drained_of_it(
    control_plane: ControlPlane, root: Path
) -> None:
    [port] = free_ports(1)
    httpbin = Httpbin()
    seen: list[Proxy] = []

    def build(proxy: Proxy) -> Snapshot:
        seen.append(proxy)
        return recorded(port, httpbin.port)

    control_plane.ads.build = build
    machine = Machine(root, control_plane, role="router", settings=SETTINGS)
    async with httpbin.running(), machine.running() as life:
        await ready(life)
        assert (seen[0].role, seen[0].namespace) == ("router", "istio-system")
        assert control_plane.connections[0].rejected == {}
        async with connected(port) as (reader, writer):
            ask(writer, "httpbin.com")
            head, body = await answer(reader)
            assert head.startswith("http/1.1 200")
            assert "server: istio-envoy" in head
            assert body == "httpbin was asked for httpbin.com"
            async with connected(port) as (other, asking):
                ask(asking, "somewhere.else")
                assert (await other.readline()).startswith(b"HTTP/1.1 404")
            assert await _ready(machine.health)
            _is_a_router(life)
            life.stop.set()
            await until(lambda: life.gates.gates["envoy"] == "Envoy is leaving")
            ask(writer, "httpbin.com")
            head, _ = await answer(reader)
            assert "connection: close" in head, "a router's connections are not asked to leave"
    assert not [each for each in (port, machine.admin, machine.status) if await answers(each)]


def _is_a_router(life: Life) -> None:
    facts = reporting.facts(life.agent.known())
    assert facts.node.startswith("router~192.168.0.204~")
    assert (facts.role, facts.dns) == ("router", "off")


async def _ready(health: int) -> bool:
    async with connected(health) as (reader, writer):
        writer.write(b"GET /healthz/ready HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        return b" 200 " in await reader.readline()


async def test_a_router_without_a_gateway_is_ready_all_the_same(
    control_plane: ControlPlane, root: Path
) -> None:
    """It has nothing to serve yet, and says so to nobody: traffic cannot find it anyway."""
    control_plane.ads.build = lambda _: Snapshot.of_resources(
        {url: {} for url in (type_urls.CLUSTER, type_urls.LISTENER)}
    )
    machine = Machine(root, control_plane, role="router", settings=SETTINGS)
    async with machine.running() as life:
        began = time.monotonic()
        await ready(life)
        assert time.monotonic() - began < 5.0
