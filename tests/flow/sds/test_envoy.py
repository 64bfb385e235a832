"""A real Envoy with a DestinationRule's own certificates: mutual TLS from files that others look after.

The cluster has the transport socket that a real istiod writes for such a rule.
"""

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.extensions.filters.network.tcp_proxy.v3 import tcp_proxy_pb2  # noqa: F401  # its type is named below
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2  # noqa: F401

from lab.controlplane import type_urls
from tests.authority import Authority
from tests.flow.envoy.parts import real, supervised
from tests.flow.envoy.parts import until as until_state
from tests.flow.plane import Plane, Resources, pack
from tests.flow.xds.machine import Machine, until
from tests.ports import free_ports
from vmagent.envoy.states import State
from vmagent.identity.trust import Roots

READY = 5.0
"""Seconds until Envoy takes traffic. A secret that it waits for costs it 15."""
TAKEN_UP = 5.0
"""Seconds on a busy machine from a new file to its use; 0.5 s between looks, and a child that judges."""

SDS = {
    "api_config_source": {
        "api_type": "GRPC",
        "grpc_services": [{"envoy_grpc": {"cluster_name": "sds-grpc"}}],
        "set_node_on_first_message_only": True,
        "transport_api_version": "V3",
    },
    "resource_api_version": "V3",
}
TLS = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext"
TCP = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy"


def cluster(name: str, port: int, common: dict[str, Any] | None) -> dict[str, Any]:
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    made: dict[str, Any] = {
        "name": name,
        "connect_timeout": "1s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address}}]}],
        },
    }
    if common is not None:
        context = {"@type": TLS, "common_tls_context": common}
        made["transport_socket"] = {"name": "envoy.transport_sockets.tls", "typed_config": context}
    return made


def mutual(chain: str, key: str, root: str) -> dict[str, Any]:
    return {
        "tls_certificate_sds_secret_configs": [{"name": f"file-cert:{chain}~{key}", "sds_config": SDS}],
        "combined_validation_context": {
            "default_validation_context": {},
            "validation_context_sds_secret_config": {"name": f"file-root:{root}", "sds_config": SDS},
        },
    }


def listener(port: int, target: str) -> dict[str, Any]:
    proxy = {"@type": TCP, "stat_prefix": target, "cluster": target}
    return {
        "name": f"127.0.0.1_{port}",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [{"filters": [{"name": "envoy.filters.network.tcp_proxy", "typed_config": proxy}]}],
    }


class Backend:
    """Demands a client certificate, and answers each line with its serial number. Beside it, on ``plain``,
    one that says a line again, and demands nothing.
    """

    def __init__(self, folder: Path, authority: Authority) -> None:
        self.folder = folder
        self.authority = authority
        self.port = self.plain = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        key, chain = self.authority.server(x509.DNSName("mymongodb.somedomain"))
        pem = self.folder / "backend.pem"
        pem.write_bytes(key + chain)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=self.authority.root_pem.decode())
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=context)
        plain = await asyncio.start_server(self._echo, "127.0.0.1", 0)
        self.port, self.plain = (each.sockets[0].getsockname()[1] for each in (server, plain))
        try:
            yield
        finally:
            server.close()
            plain.close()

    async def _echo(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serial = writer.get_extra_info("peercert")["serialNumber"]
        with contextlib.suppress(OSError):
            while await reader.readline():
                writer.write(f"{int(serial, 16)}\n".encode())
                await writer.drain()
        writer.close()


@dataclass
class World:
    folder: Path
    authority: Authority = field(default_factory=Authority)
    through: int = 0
    """Port of the listener whose cluster has the certificates."""
    plain: int = 0

    def __post_init__(self) -> None:
        self.backend = Backend(self.folder, self.authority)
        self.through, self.plain = free_ports(2)
        self.chain, self.key, self.root = (self.folder / name for name in ("c.pem", "k.pem", "r.pem"))

    def issue(self) -> tuple[bytes, bytes, int]:
        """A client's chain and key, and its serial number."""
        key, chain = self.authority.server(x509.DNSName("client"))
        return chain, key, x509.load_pem_x509_certificate(chain).serial_number

    def resources(self) -> Resources:
        common = mutual(str(self.chain), str(self.key), str(self.root))
        clusters = {
            "mongo": cluster("mongo", self.backend.port, common),
            "plain": cluster("plain", self.backend.plain, None),
        }
        listeners = [listener(self.through, "mongo"), listener(self.plain, "plain")]
        return {
            type_urls.CLUSTER: {name: pack(each, Cluster()) for name, each in clusters.items()},
            type_urls.LISTENER: {each["name"]: pack(each, Listener()) for each in listeners},
        }

    async def ask(self, port: int = 0) -> str:
        """What the backend answers through Envoy; empty if there is no way."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port or self.through)
        try:
            async with asyncio.timeout(2):
                writer.write(b"who am I?\n")
                return (await reader.readline()).decode().strip()
        except (OSError, TimeoutError):
            return ""
        finally:
            writer.close()

    async def until_answered(self, serial: int) -> None:
        async with asyncio.timeout(TAKEN_UP):
            while await self.ask() != str(serial):  # noqa: ASYNC110  # another process
                await asyncio.sleep(0.05)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@contextlib.asynccontextmanager
async def running(world: World) -> AsyncIterator[Machine]:
    """Control plane, agent and Envoy, which is ready."""
    async with Plane().running() as plane:
        plane.resources = world.resources()
        vm = Machine(folder=world.folder, port=plane.port, roots=Roots(pem=b"", path=Path("none")), tls=False)
        async with vm.running(), supervised(real(world.folder)) as envoy:
            began = time.monotonic()
            await until_state(envoy, State.READY)
            assert time.monotonic() - began < READY
            yield vm
            assert plane.rejected == []


async def test_certificates_are_replaced_while_envoy_serves_and_open_connections_stay(world: World) -> None:
    chain, key, first = world.issue()
    world.chain.write_bytes(chain)
    world.key.write_bytes(key)
    world.root.write_bytes(world.authority.root_pem)
    async with world.backend.running(), running(world) as vm:
        await world.until_answered(first)
        reader, writer = await asyncio.open_connection("127.0.0.1", world.through)

        async def asked_on_the_old_connection() -> str:
            writer.write(b"and now?\n")
            return (await reader.readline()).decode().strip()

        assert await asked_on_the_old_connection() == str(first)
        chain, key, second = world.issue()
        world.chain.write_bytes(chain)  # one half
        await asyncio.sleep(1.2)
        assert await world.ask() == str(first)
        world.key.write_bytes(key)  # and the other
        await world.until_answered(second)
        assert await asked_on_the_old_connection() == str(first)
        assert vm.secrets.trouble == ""
        writer.close()


async def test_files_that_are_missing_hold_up_nothing_else_and_are_used_when_they_come(world: World) -> None:
    async with world.backend.running(), running(world) as vm:
        await until(lambda: f"{world.chain} does not exist" in vm.secrets.trouble)
        assert f"{world.root} does not exist" in vm.secrets.trouble
        assert await world.ask() == ""
        assert await world.ask(world.plain) == "who am I?"
        chain, key, serial = world.issue()
        world.root.write_bytes(world.authority.root_pem)
        world.chain.write_bytes(chain)
        world.key.write_bytes(key)
        await world.until_answered(serial)
        assert vm.secrets.trouble == ""


async def test_a_spoiled_file_changes_nothing_for_traffic_and_is_named(world: World) -> None:
    chain, key, serial = world.issue()
    world.chain.write_bytes(chain)
    world.key.write_bytes(key)
    world.root.write_bytes(world.authority.root_pem)
    async with world.backend.running(), running(world) as vm:
        await world.until_answered(serial)
        world.root.unlink()
        world.key.write_text("nothing of the kind")
        await until(lambda: "r.pem does not exist" in vm.secrets.trouble)
        await until(lambda: "k.pem is damaged" in vm.secrets.trouble)
        assert await world.ask() == str(serial)


async def test_a_server_of_a_new_authority_is_met_when_its_root_is_in_the_file(world: World) -> None:
    chain, key, serial = world.issue()
    world.chain.write_bytes(chain)
    world.key.write_bytes(key)
    world.root.write_bytes(Authority("another").root_pem)
    async with world.backend.running(), running(world):
        assert await world.ask() == ""
        with world.root.open("ab") as file:
            file.write(world.authority.root_pem)
        await world.until_answered(serial)
