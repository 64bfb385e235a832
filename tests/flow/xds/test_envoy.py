"""The real Envoy, with vmagent's bootstrap and on its sockets, and the lab's control plane behind."""

import asyncio
import contextlib
import json
import os
import signal
import urllib.request
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.listener.v3.listener_pb2 import Listener

from lab.controlplane import type_urls
from lab.controlplane.proxy import Proxy
from lab.controlplane.server import ControlPlane
from lab.controlplane.snapshot import Resources, Snapshot
from lab.controlplane.snapshot.packing import pack
from tests.flow.envoy.parts import real, supervised
from tests.flow.envoy.parts import until as until_state
from tests.flow.lab.client import certificate, new_csr, private_pem
from tests.flow.lab.test_streams import NGINX, SECOND_SERVICE
from tests.flow.xds.machine import Machine, machine, until
from vmagent.envoy.config import EnvoyConfig
from vmagent.envoy.states import State
from vmagent.envoy.supervisor import Supervisor
from vmagent.identity.credential import Credential
from vmagent.identity.spiffe import SpiffeId

SECOND = "outbound|8080||second.jd.com"
PATIENCE = 15.0
"""Seconds for what a process of its own must do on a busy machine."""


def unbound(snapshot: Snapshot) -> Snapshot:
    """15001 and 15006 may be somebody else's here."""
    listeners = dict(snapshot.of(type_urls.LISTENER))
    for name in ("virtualOutbound", "virtualInbound"):
        listener = Listener.FromString(listeners[name].value)
        listener.bind_to_port.value = False
        listeners[name] = pack(listener)
    return told(snapshot, type_urls.LISTENER, listeners)


def told(snapshot: Snapshot, url: str, resources: Resources) -> Snapshot:
    return replace(snapshot, resources={**snapshot.resources, url: resources})


async def credential(control_plane: ControlPlane) -> Credential:
    key, csr = new_csr()
    chain = await certificate(control_plane, csr, token=control_plane.issue_token("istio-demo", "vm"))
    return Credential(
        spiffe=SpiffeId(trust_domain="cluster.local", namespace="istio-demo", service_account="vm"),
        key_pem=private_pem(key),
        chain_pem="".join(chain).encode(),
        root_pem=control_plane.root_pem,
        not_before=0.0,
        not_after=1e12,
    )


@dataclass
class Joined:
    control_plane: ControlPlane
    vm: Machine
    envoy: Supervisor
    config: EnvoyConfig
    spoil: list[Callable[[Snapshot], Snapshot]] = field(default_factory=list)

    @property
    def accepted(self) -> dict[str, str]:
        return dict(self.control_plane.connections[0].accepted) if self.control_plane.connections else {}

    @property
    def rejected(self) -> dict[str, str]:
        return dict(self.control_plane.connections[0].rejected) if self.control_plane.connections else {}

    async def clusters(self) -> dict[str, str]:
        """Those in use, with the moment they were last changed."""
        return {
            each["cluster"]["name"]: each["last_updated"]
            for each in (await self._dump()).get("dynamic_active_clusters", [])
        }

    async def _dump(self) -> dict[str, Any]:
        def ask() -> dict[str, Any]:
            url = f"http://127.0.0.1:{self.config.ports.admin}/config_dump"
            with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
                found = json.load(answer)["configs"]
            return next(each for each in found if each["@type"].endswith("ClustersConfigDump"))

        return await asyncio.to_thread(ask)

    async def until_clusters(self, fact: Callable[[dict[str, str]], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not fact(await self.clusters()):  # noqa: ASYNC110  # another process
                await asyncio.sleep(0.05)


@dataclass(frozen=True)
class Variants:
    """Who speaks incrementally."""

    upstream: bool
    envoy: bool


VARIANTS = {
    "incremental": Variants(upstream=True, envoy=True),
    "state of the world": Variants(upstream=False, envoy=False),
    "Envoy alone incremental": Variants(upstream=False, envoy=True),
    "control plane alone incremental": Variants(upstream=True, envoy=False),
}


@contextlib.asynccontextmanager
async def joining(control_plane: ControlPlane, folder: Path, variants: Variants) -> AsyncIterator[Joined]:
    mine = machine(control_plane, folder, delta=variants.upstream)
    config = real(folder, delta_xds=variants.envoy)
    mine.credentials.publish(await credential(control_plane))
    spoil: list[Callable[[Snapshot], Snapshot]] = []

    def build(proxy: Proxy) -> Snapshot:
        snapshot = unbound(control_plane.snapshot(proxy))
        for change in spoil:
            snapshot = change(snapshot)
        return snapshot

    control_plane.ads.build = build
    async with mine.running(), supervised(config) as envoy:
        await until_state(envoy, State.READY)
        yield Joined(control_plane, mine, envoy, config, spoil)


@pytest.fixture(params=VARIANTS.values(), ids=list(VARIANTS))
async def joined(
    request: pytest.FixtureRequest, control_plane: ControlPlane, tmp_path: Path
) -> AsyncIterator[Joined]:
    async with joining(control_plane, tmp_path, request.param) as everything:
        yield everything


async def test_envoy_takes_the_first_configuration_and_each_change_of_it(joined: Joined) -> None:
    lab = joined.control_plane
    await until(lambda: len(joined.accepted) == 5, within=PATIENCE)
    await joined.until_clusters(lambda found: NGINX in found)
    before = joined.accepted
    lab.apply(SECOND_SERVICE)
    await joined.until_clusters(lambda found: SECOND in found)
    lab.delete("ServiceEntry", "istio-demo", "second")
    await joined.until_clusters(lambda found: SECOND not in found)
    await until(lambda: joined.accepted == before, within=PATIENCE)
    assert not joined.rejected


async def test_what_envoy_rejects_reaches_the_control_plane_and_the_last_good_stays_over_a_restart(
    joined: Joined,
) -> None:
    await until(lambda: len(joined.accepted) == 5, within=PATIENCE)
    good = joined.accepted[type_urls.CLUSTER]

    def with_a_table_that_envoy_refuses(snapshot: Snapshot) -> Snapshot:
        clusters = dict(snapshot.of(type_urls.CLUSTER))
        cluster = Cluster.FromString(clusters[NGINX].value)
        cluster.lb_policy = Cluster.MAGLEV
        cluster.maglev_lb_config.table_size.value = 4  # not a prime
        clusters[NGINX] = pack(cluster)
        return told(snapshot, type_urls.CLUSTER, clusters)

    joined.spoil.append(with_a_table_that_envoy_refuses)
    joined.control_plane.ads.refresh()
    await until(lambda: type_urls.CLUSTER in joined.rejected, within=PATIENCE)
    assert NGINX in joined.rejected[type_urls.CLUSTER]
    assert joined.accepted[type_urls.CLUSTER] == good
    assert NGINX in await joined.clusters()

    first = joined.envoy.state.value
    assert first is not None
    os.kill(first.pid, signal.SIGKILL)
    await until_state(joined.envoy, State.READY, other_than=first.pid)
    await joined.until_clusters(lambda found: NGINX in found)


async def test_envoy_restarts_while_the_control_plane_is_away_and_serves_as_before(joined: Joined) -> None:
    await until(lambda: len(joined.accepted) == 5, within=PATIENCE)
    before = set(await joined.clusters())
    await joined.control_plane.stop()
    first = joined.envoy.state.value
    assert first is not None
    os.kill(first.pid, signal.SIGKILL)
    await until_state(joined.envoy, State.READY, other_than=first.pid)
    await joined.until_clusters(lambda found: set(found) == before)
    await joined.control_plane.start()


async def test_a_control_plane_that_restarts_leaves_every_cluster_untouched(joined: Joined) -> None:
    lab = joined.control_plane
    await until(lambda: len(joined.accepted) == 5, within=PATIENCE)
    before, build = await joined.clusters(), lab.ads.build
    await lab.stop()
    await lab.start()
    lab.ads.build = build
    await until(lambda: len(joined.accepted) == 5, within=PATIENCE)
    assert await joined.clusters() == before
    lab.apply(SECOND_SERVICE)
    await joined.until_clusters(lambda found: SECOND in found)
    assert len(lab.connections) == 1
