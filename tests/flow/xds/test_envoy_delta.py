"""The real Envoy, incrementally: the agent in front, and behind it a control plane with istiod's habits."""

import asyncio
import contextlib
import json
import urllib.request
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryResponse
from google.protobuf import any_pb2

from lab.controlplane import type_urls
from lab.controlplane.snapshot.packing import pack
from tests.conftest import RECORDINGS
from tests.flow.envoy.parts import real, supervised
from tests.flow.envoy.parts import until as until_state
from tests.flow.xds.istiod import Istiod
from tests.flow.xds.machine import Machine, until
from tests.flow.xds.test_recordings import credential
from vmagent.envoy.config import EnvoyConfig
from vmagent.envoy.states import State
from vmagent.identity.trust import Roots

CDS, EDS, LDS = type_urls.CLUSTER, type_urls.ENDPOINT, type_urls.LISTENER
RECORDED = sorted((RECORDINGS / "istiod-1.29.6" / "delta-session").glob("*-response.pb"))
PATIENCE = 15.0


def cluster(name: str, *, milliseconds: int = 250) -> Cluster:
    """As istiod's: its endpoints come by ADS, and are waited for as long as it takes."""
    made = Cluster(name=name, type=Cluster.EDS)
    made.connect_timeout.FromMilliseconds(milliseconds)
    made.eds_cluster_config.eds_config.ads.SetInParent()
    made.eds_cluster_config.eds_config.resource_api_version = 2
    made.eds_cluster_config.eds_config.initial_fetch_timeout.FromSeconds(0)
    return made


def spoilt(name: str) -> Cluster:
    made = cluster(name)
    made.lb_policy = Cluster.CLUSTER_PROVIDED  # which only some kinds of clusters do
    return made


def endpoints(*names: str) -> dict[str, ClusterLoadAssignment]:
    return {name: ClusterLoadAssignment(cluster_name=name) for name in names}


@dataclass
class Joined:
    istiod: Istiod
    vm: Machine
    config: EnvoyConfig

    async def clusters(self) -> dict[str, tuple[str, str]]:
        """Those in use: connect timeout, and the moment of the last change."""

        def ask() -> dict[str, Any]:
            url = f"http://127.0.0.1:{self.config.ports.admin}/config_dump"
            with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
                found = json.load(answer)["configs"]
            return next(each for each in found if each["@type"].endswith("ClustersConfigDump"))

        active = (await asyncio.to_thread(ask)).get("dynamic_active_clusters", [])
        return {
            each["cluster"]["name"]: (each["cluster"].get("connect_timeout", ""), each["last_updated"])
            for each in active
        }

    async def until_clusters(self, fact: Callable[[dict[str, str]], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not fact({name: timeout for name, (timeout, _) in (await self.clusters()).items()}):  # noqa: ASYNC110  # another process
                await asyncio.sleep(0.05)


@pytest.fixture
async def joined(tmp_path: Path) -> AsyncIterator[Joined]:
    istiod = Istiod()
    istiod.change(CDS, {name: cluster(name) for name in ("web", "db")})
    istiod.change(EDS, endpoints("web", "db"))
    async with _joining(istiod, tmp_path) as everything:
        yield everything


@contextlib.asynccontextmanager
async def _joining(istiod: Istiod, folder: Path) -> AsyncIterator[Joined]:
    config = real(folder, delta_xds=True)
    async with istiod.running():
        mine = Machine(
            folder=folder, port=istiod.port, roots=Roots(pem=b"", path=Path("none")), tls=False, delta=True
        )
        mine.credentials.publish(credential())
        async with mine.running(), supervised(config) as envoy:
            await until_state(envoy, State.READY)
            yield Joined(istiod, mine, config)


async def test_envoy_takes_what_there_is_and_each_change_alone(joined: Joined) -> None:
    await joined.until_clusters(lambda found: found == {"web": "0.250s", "db": "0.250s"})
    await joined.istiod.push(CDS, {"new": cluster("new")}, "db")
    joined.istiod.change(EDS, endpoints("new"))
    await joined.until_clusters(lambda found: found.keys() == {"web", "new"})
    assert not joined.istiod.rejected


async def test_a_cluster_that_changed_is_used_although_nobody_sends_its_endpoints_again(
    joined: Joined,
) -> None:
    """Envoy does not ask for them, and holds back its acknowledgement until they come."""
    await joined.until_clusters(lambda found: found.keys() == {"web", "db"})
    await until(lambda: len(joined.istiod.accepted) >= 3)
    joined.istiod.accepted.clear()
    await joined.istiod.push(CDS, {"web": cluster("web", milliseconds=300)})
    await joined.until_clusters(lambda found: found == {"web": "0.300s", "db": "0.250s"})
    await until(lambda: joined.istiod.accepted)


async def test_a_control_plane_that_restarts_and_sends_everything_again_leaves_every_cluster_untouched(
    joined: Joined,
) -> None:
    await joined.until_clusters(lambda found: found.keys() == {"web", "db"})
    before = await joined.clusters()
    await joined.istiod.stop()
    await until(lambda: not joined.vm.hub.connected)
    joined.istiod.accepted.clear()
    await joined.istiod.start()
    await until(lambda: len(joined.istiod.accepted) >= 3, within=PATIENCE)
    assert await joined.clusters() == before
    await joined.istiod.push(CDS, {}, "db")
    await joined.until_clusters(lambda found: found.keys() == {"web"})


async def test_what_envoy_rejects_reaches_the_control_plane_and_the_rest_of_it_is_used(
    joined: Joined,
) -> None:
    await joined.until_clusters(lambda found: found.keys() == {"web", "db"})
    joined.istiod.change(EDS, endpoints("new"))
    await joined.istiod.push(CDS, {"web": spoilt("web"), "new": cluster("new")})
    await joined.until_clusters(lambda found: found == {"web": "0.250s", "db": "0.250s", "new": "0.250s"})
    await until(lambda: joined.istiod.rejected, within=PATIENCE)
    assert "web" in joined.istiod.rejected[0]


@pytest.mark.skipif(not RECORDED, reason="../shared/recordings is not present")
async def test_a_stock_envoy_takes_a_recorded_stream_with_all_its_changes_and_removals(
    tmp_path: Path,
) -> None:
    istiod = Istiod()
    responses = [DeltaDiscoveryResponse.FromString(path.read_bytes()) for path in RECORDED]
    first = len({each.type_url for each in responses})
    for response in responses[:first]:
        istiod.change(response.type_url, _resources(response))
    async with _joining(istiod, tmp_path) as joined:
        await until(lambda: len(istiod.accepted) >= first, within=PATIENCE)
        for response in responses[first:]:
            await istiod.push(response.type_url, _resources(response), *response.removed_resources)
        await joined.until_clusters(lambda found: found.keys() == istiod.world[CDS].keys())
        assert not joined.vm.hub.refused
        assert len(joined.vm.hub.tables.value or ()) == 1
    assert not istiod.rejected


def _resources(response: DeltaDiscoveryResponse) -> dict[str, any_pb2.Any]:
    return {each.name: _unbound(each.resource) for each in response.resources}


def _unbound(resource: any_pb2.Any) -> any_pb2.Any:
    """The port of a listener may be somebody else's here."""
    if resource.type_url != LDS:
        return resource
    listener = Listener.FromString(resource.value)
    listener.bind_to_port.value = False
    return pack(listener)
