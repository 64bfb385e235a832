"""What a real istiod sent is taken by a stock Envoy once it has passed the relay: not one rejection.

One Envoy plays all recordings, each as a change of the one before.
"""

import asyncio
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import any_pb2

from lab.controlplane import type_urls
from lab.controlplane.snapshot.packing import pack
from tests.authority import Authority
from tests.conftest import RECORDINGS
from tests.flow.envoy.parts import real, supervised
from tests.flow.xds.machine import Machine
from tests.flow.xds.plane import PATIENCE, Resources, named, plane_on
from vmagent.identity.credential import Credential
from vmagent.identity.spiffe import SpiffeId
from vmagent.identity.trust import Roots

ISTIOD = RECORDINGS / "istiod-1.29.6"
RECORDED = sorted(path.parent for path in ISTIOD.glob("*/*/cds.pb"))
DELTA = sorted(ISTIOD.glob("delta-session/*-response.pb"))
FILES = {
    type_urls.CLUSTER: "cds.pb",
    type_urls.ENDPOINT: "eds.pb",
    type_urls.LISTENER: "lds.pb",
    type_urls.ROUTE: "rds.pb",
    type_urls.NAME_TABLE: "nds.pb",
}


def recorded(folder: Path) -> Resources:
    found = {url: folder / file for url, file in FILES.items()}
    return {url: _resources(path) if path.exists() else {} for url, path in found.items()}


def _resources(path: Path) -> dict[str, any_pb2.Any]:
    return named(*map(_unbound, discovery_pb2.DiscoveryResponse.FromString(path.read_bytes()).resources))


def incrementally() -> Iterator[Resources]:
    """All there was after each response of the recorded delta session."""
    held: dict[str, dict[str, any_pb2.Any]] = {url: {} for url in FILES}
    for path in DELTA:
        response = discovery_pb2.DeltaDiscoveryResponse.FromString(path.read_bytes())
        of_type = held[response.type_url]
        for name in response.removed_resources:
            of_type.pop(name, None)
        of_type |= {each.name: _unbound(each.resource) for each in response.resources}
        yield {url: dict(resources) for url, resources in held.items()}


def _unbound(resource: any_pb2.Any) -> any_pb2.Any:
    """The port of a listener may be somebody else's here."""
    if resource.type_url != type_urls.LISTENER:
        return resource
    listener = Listener.FromString(resource.value)
    listener.bind_to_port.value = False
    return pack(listener)


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
async def test_a_stock_envoy_takes_all_that_a_real_istiod_sent(tmp_path: Path) -> None:
    config = real(tmp_path)
    played = {f"{folder.parent.name}/{folder.name}": recorded(folder) for folder in RECORDED}
    played |= {f"delta-session, state {number}": each for number, each in enumerate(incrementally(), 1)}
    async with plane_on("127.0.0.1:0") as (plane, port):
        mine = Machine(folder=tmp_path, port=port, roots=Roots(pem=b"", path=Path("none")), tls=False)
        mine.credentials.publish(credential())
        async with mine.running(), supervised(config):
            for name, resources in played.items():
                await plane.play(resources)
                assert plane.rejected == [], name
            counters = await asyncio.to_thread(statistics, config.ports.admin)
            taken_out, refused = mine.hub.taken_out, mine.hub.refused
    assert plane.version == len(RECORDED) + len(DELTA)
    assert not refused
    assert set(taken_out) == {
        "istio.alpn",
        "istio.metadata_exchange",
        "istio.metadata_exchange (HTTP)",
        "istio.stats",
    }
    assert counters["cluster_manager.cds.update_success"] >= len(RECORDED)
    assert counters["listener_manager.lds.update_success"] >= len(RECORDED)
    assert not {name: count for name, count in counters.items() if "update_rejected" in name and count}
