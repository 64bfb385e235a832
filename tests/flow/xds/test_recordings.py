"""What a real istiod sent is taken by a stock Envoy once it has passed the relay: not one rejection.

One Envoy plays all recordings, each as a change of the one before.
"""

import asyncio
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from cryptography import x509
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.service.discovery.v3 import discovery_pb2

from lab.controlplane import type_urls
from lab.controlplane.snapshot.packing import pack
from tests.authority import Authority
from tests.conftest import RECORDINGS
from tests.flow.envoy.parts import SERVICE, real, supervised
from tests.flow.xds.machine import Machine, until
from vmagent.identity.credential import Credential
from vmagent.identity.spiffe import SpiffeId
from vmagent.identity.trust import Roots
from vmagent.xds import sotw

RECORDED = sorted(path.parent for path in (RECORDINGS / "istiod-1.29.6").glob("*/*/cds.pb"))
FILES = {
    type_urls.CLUSTER: "cds.pb",
    type_urls.ENDPOINT: "eds.pb",
    type_urls.LISTENER: "lds.pb",
    type_urls.ROUTE: "rds.pb",
    type_urls.NAME_TABLE: "nds.pb",
}
PATIENCE = 10.0


def recorded(folder: Path, url: str) -> dict[str, Any]:
    path = folder / FILES[url]
    if not path.exists():
        return {}
    response = discovery_pb2.DiscoveryResponse.FromString(path.read_bytes())
    found = {sotw.resource_name(each.value): each for each in response.resources}
    return {name: _unbound(each) for name, each in found.items()} if url == type_urls.LISTENER else found


def _unbound(resource: Any) -> Any:
    """Its port may be somebody else's here."""
    listener = Listener.FromString(resource.value)
    listener.bind_to_port.value = False
    return pack(listener)


class Istiod:
    """Plays recordings to one stream."""

    def __init__(self) -> None:
        self.version = 0
        self.accepted: dict[str, int] = {}
        self.rejected: list[str] = []
        self._names: dict[str, list[str]] = {}
        self._resources: dict[str, dict[str, Any]] = {}
        self._context: Any = None
        self._turn = asyncio.Lock()

    async def stream(self, requests: AsyncIterator[bytes], context: Any) -> None:
        self._context = context
        async for data in requests:
            request = discovery_pb2.DiscoveryRequest.FromString(data)
            url, names = request.type_url, list(request.resource_names)
            if request.HasField("error_detail"):
                self.rejected.append(f"{url}: {request.error_detail.message}")
            if request.response_nonce:
                self.accepted[url] = int(request.version_info or 0)
            if self._names.get(url) != names:
                self._names[url] = names
                await self._answer(url)

    async def play(self, folder: Path) -> None:
        """Returns when Envoy has accepted or rejected all of it."""
        self.version += 1
        self._resources = {url: recorded(folder, url) for url in FILES}
        for url in type_urls.PUSH_ORDER:
            if url in self._names:
                await self._answer(url)
        await until(lambda: self.rejected or self._settled(), within=PATIENCE)

    def _settled(self) -> bool:
        """Envoy keeps its word on clusters while one of them warms, as one does whose secret nobody here
        serves; the clusters went out first, so it has judged them all the same, and its statistics tell.
        """
        asked = {url for url, names in self._names.items() if names or url in type_urls.WILDCARD}
        return len(asked) >= 3 and all(
            self.accepted.get(url) == self.version for url in (asked & FILES.keys()) - {type_urls.CLUSTER}
        )

    async def _answer(self, url: str) -> None:
        async with self._turn:
            known = self._resources.get(url)
            if known is None:
                return
            chosen = list(known.values())
            if url == type_urls.ENDPOINT:
                names = self._names[url]
                chosen = [known.get(name) or pack(ClusterLoadAssignment(cluster_name=name)) for name in names]
            elif url == type_urls.ROUTE:
                chosen = [known[name] for name in self._names[url] if name in known]
            response = discovery_pb2.DiscoveryResponse(
                type_url=url, version_info=str(self.version), nonce=f"{url}{self.version}", resources=chosen
            )
            await self._context.write(response.SerializeToString())


@pytest.fixture
async def istiod() -> AsyncIterator[tuple[Istiod, int]]:
    istiod, server = Istiod(), grpc.aio.server()
    method = {"StreamAggregatedResources": grpc.stream_stream_rpc_method_handler(istiod.stream)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, method),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield istiod, port
    await server.stop(None)


def credential() -> Credential:
    spiffe = SpiffeId(trust_domain="cluster.local", namespace="istio-demo", service_account="vm")
    authority = Authority()
    key, chain = authority.server(x509.UniformResourceIdentifier(str(spiffe)))
    return Credential(
        spiffe=spiffe,
        key_pem=key,
        chain_pem=chain,
        root_pem=authority.root_pem,
        not_before=0.0,
        not_after=1e12,
    )


def statistics(admin: int) -> dict[str, int]:
    with urllib.request.urlopen(f"http://127.0.0.1:{admin}/stats?filter=update_", timeout=PATIENCE) as answer:
        lines = answer.read().decode().splitlines()
    return {
        name: int(count) for name, _, count in (line.rpartition(": ") for line in lines) if count.isdigit()
    }


@pytest.mark.skipif(not RECORDED, reason="../shared/recordings is not present")
async def test_a_stock_envoy_takes_all_that_a_real_istiod_sent(
    istiod: tuple[Istiod, int], tmp_path: Path
) -> None:
    plane, port = istiod
    mine = Machine(folder=tmp_path, port=port, roots=Roots(pem=b"", path=Path("none")), tls=False)
    mine.credentials.publish(credential())
    config = real(tmp_path)
    async with mine.running(), supervised(config):
        for folder in RECORDED:
            await plane.play(folder)
            assert plane.rejected == [], f"{folder.parent.name}/{folder.name}"
        counters = await asyncio.to_thread(statistics, config.ports.admin)
    assert plane.version == len(RECORDED)
    assert counters["cluster_manager.cds.update_success"] >= len(RECORDED)
    assert counters["listener_manager.lds.update_success"] >= len(RECORDED)
    assert not {name: count for name, count in counters.items() if "update_rejected" in name and count}
