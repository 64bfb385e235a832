"""A gateway's own certificates on a real Envoy: from files over SDS, from Kubernetes over xDS."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from cryptography import x509
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.extensions.filters.http.router.v3 import router_pb2  # noqa: F401  # types that are named below
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2,  # noqa: F401
)
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2  # noqa: F401
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret

from lab.controlplane import type_urls
from tests.authority import Authority
from tests.flow.envoy.parts import real, supervised
from tests.flow.envoy.parts import until as until_state
from tests.flow.plane import SECRET, Plane, Resources, pack
from tests.flow.sds.test_envoy import SDS, TAKEN_UP
from tests.flow.xds.machine import Machine, until
from tests.ports import free_ports
from vmagent.envoy.states import State
from vmagent.identity.trust import Roots

ADS = {"ads": {}, "resource_api_version": "V3"}
HOST = "web.example.com"
_TYPE = "type.googleapis.com/envoy.extensions"
_MANAGER = f"{_TYPE}.filters.network.http_connection_manager.v3.HttpConnectionManager"


def gateway(port: int, common: dict[str, Any], *, mutual: bool = False) -> Resources:
    """A listener that answers every request by itself."""
    route = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": "hello"}}}
    manager = {
        "@type": _MANAGER,
        "stat_prefix": "gateway",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_TYPE}.filters.http.router.v3.Router"},
            }
        ],
    }
    context = {
        "@type": f"{_TYPE}.transport_sockets.tls.v3.DownstreamTlsContext",
        "common_tls_context": common,
        "require_client_certificate": mutual,
    }
    listener = {
        "name": f"127.0.0.1_{port}",
        "traffic_direction": "OUTBOUND",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [
            {
                "filters": [
                    {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
                ],
                "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": context},
            }
        ],
    }
    return {type_urls.CLUSTER: {}, type_urls.LISTENER: {"gateway": pack(listener, Listener())}}


class Client:
    """Trusts ``authority``; ``pem`` is its certificate and key in one file, if it has one."""

    def __init__(self, authority: Authority, pem: Path | None = None) -> None:
        self._context = ssl.create_default_context(cadata=authority.root_pem.decode())
        if pem is not None:
            self._context.load_cert_chain(pem)

    async def serial(self, port: int) -> int:
        """Of the certificate that the gateway shows, once a request has been answered; 0 if none is."""
        try:
            async with asyncio.timeout(2):
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", port, ssl=self._context, server_hostname=HOST
                )
                peer = writer.get_extra_info("ssl_object").getpeercert()
                writer.write(b"GET / HTTP/1.1\r\nhost: web.example.com\r\nconnection: close\r\n\r\n")
                answer = await reader.read()
                writer.close()
        except (OSError, TimeoutError):
            return 0
        return int(peer["serialNumber"], 16) if answer.endswith(b"hello") else 0

    async def until_shown(self, port: int, serial: int) -> None:
        async with asyncio.timeout(TAKEN_UP):
            while await self.serial(port) != serial:  # noqa: ASYNC110  # another process
                await asyncio.sleep(0.05)


def issue(authority: Authority) -> tuple[bytes, bytes, int]:
    """Chain, key and serial number for ``HOST``."""
    key, chain = authority.server(x509.DNSName(HOST))
    return chain, key, x509.load_pem_x509_certificate(chain).serial_number


@contextlib.asynccontextmanager
async def served(folder: Path, resources: Resources) -> AsyncIterator[tuple[Plane, Machine]]:
    async with Plane(resources).running() as plane:
        vm = Machine(folder=folder, port=plane.port, roots=Roots(pem=b"", path=Path("none")), tls=False)
        async with vm.running(), supervised(real(folder)) as envoy:
            await until_state(envoy, State.READY)
            yield plane, vm


async def test_a_gateways_certificate_and_its_clients_authority_come_from_files(
    tmp_path: Path, authority: Authority
) -> None:
    [port] = free_ports(1)
    chain, key, root, mine = (tmp_path / name for name in ("c.pem", "k.pem", "r.pem", "client.pem"))
    common = {
        "tls_certificate_sds_secret_configs": [{"name": f"file-cert:{chain}~{key}", "sds_config": SDS}],
        "combined_validation_context": {
            "default_validation_context": {},
            "validation_context_sds_secret_config": {"name": f"file-root:{root}", "sds_config": SDS},
        },
    }
    made, private, first = issue(authority)
    chain.write_bytes(made)
    key.write_bytes(private)
    root.write_bytes(authority.root_pem)
    client_chain, client_key, _ = issue(authority)
    mine.write_bytes(client_chain + client_key)
    known, stranger = Client(authority, mine), Client(authority)
    async with served(tmp_path, gateway(port, common, mutual=True)) as (plane, vm):
        await known.until_shown(port, first)
        assert await stranger.serial(port) == 0
        made, private, second = issue(authority)
        chain.write_bytes(made)
        key.write_bytes(private)
        await known.until_shown(port, second)
        assert (plane.rejected, vm.secrets.trouble) == ([], "")


async def test_a_gateways_credential_of_kubernetes_comes_over_xds_and_is_followed(
    tmp_path: Path, authority: Authority
) -> None:
    """``credentialName``: the control plane itself serves it, on the one stream, as any other resource."""
    [port] = free_ports(1)
    name = "kubernetes://web-credential"
    common = {"tls_certificate_sds_secret_configs": [{"name": name, "sds_config": ADS}]}
    client = Client(authority)

    def told(chain: bytes, key: bytes) -> Resources:
        secret = Secret(name=name)
        secret.tls_certificate.certificate_chain.inline_bytes = chain
        secret.tls_certificate.private_key.inline_bytes = key
        packed = pack({"name": "x"}, Secret())
        packed.value = secret.SerializeToString()
        return {**gateway(port, common), SECRET: {name: packed}}

    chain, key, first = issue(authority)
    async with served(tmp_path, told(chain, key)) as (plane, vm):
        await client.until_shown(port, first)
        assert plane.asked[SECRET] == [name]
        chain, key, second = issue(authority)
        await plane.push(told(chain, key))
        await client.until_shown(port, second)
        await until(lambda: plane.accepted.get(SECRET) == "2")
        assert (plane.rejected, vm.secrets.trouble) == ([], "")


async def test_a_credential_of_kubernetes_that_is_asked_of_the_agent_is_refused_and_holds_up_nothing(
    tmp_path: Path, authority: Authority
) -> None:
    """Configuration that points to the agent for it would be a mistake, and Envoy would wait 15 s."""
    refused, good = free_ports(2)
    name = "kubernetes://web-credential"
    chain, key, serial = issue(authority)
    (tmp_path / "c.pem").write_bytes(chain)
    (tmp_path / "k.pem").write_bytes(key)
    wrong = gateway(refused, {"tls_certificate_sds_secret_configs": [{"name": name, "sds_config": SDS}]})
    right = gateway(
        good,
        {"tls_certificate_sds_secret_configs": [{"name": "file-cert:c.pem~k.pem", "sds_config": SDS}]},
    )
    listeners = {
        "wrong": wrong[type_urls.LISTENER]["gateway"],
        "right": right[type_urls.LISTENER]["gateway"],
    }
    async with served(tmp_path, {type_urls.CLUSTER: {}, type_urls.LISTENER: listeners}) as (_, vm):
        await Client(authority).until_shown(good, serial)
        assert vm.secrets.trouble == (
            f"no secret named {name!r}: istiod itself serves what is kept in Kubernetes (credentialName), "
            "over xDS, to gateways; on a VM name files (clientCertificate, privateKey, caCertificates)"
        )
        assert await Client(authority).serial(refused) == 0
