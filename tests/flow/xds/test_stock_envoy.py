"""The real, stock Envoy: what it says it can load is what it loads, and what the agent makes of the rest."""

import asyncio
import contextlib
import json
import urllib.request
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from envoy.config.core.v3.extension_pb2 import TypedExtensionConfig
from envoy.config.listener.v3.listener_components_pb2 import Filter
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.extensions.filters.http.cors.v3.cors_pb2 import Cors
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import HttpFilter

from lab.controlplane import type_urls
from lab.controlplane.snapshot.packing import pack
from tests.flow.envoy.parts import real, supervised
from tests.flow.xds.machine import Machine, until
from tests.flow.xds.plane import PATIENCE, Plane, Resources, named, plane_at, plane_on
from tests.flow.xds.valid import bytes_only, cluster, everything, later, routes, web
from tests.unit.xds.compatibility.built import as_struct, typed
from tests.unit.xds.compatibility.nodes import ISTIO_TYPES, STOCK_TYPES
from vmagent.identity.trust import Roots
from vmagent.xds import types

STATS = "stats.PluginConfig"
EXCHANGE = "envoy.tcp.metadataexchange.config.MetadataExchange"
OUT = {
    "istio.stats": typed(STATS, b"\x30\x01"),
    "istio.metadata_exchange": as_struct("io.istio.http.peer_metadata.Config"),
    "istio.alpn": typed("istio.envoy.config.filter.http.alpn.v2alpha1.FilterConfig"),
}
AUTHN = typed("istio.envoy.config.filter.http.authn.v2alpha1.FilterConfig")


@dataclass
class Relayed:
    plane: Plane
    vm: Machine
    admin: int

    async def listeners(self) -> dict[str, str]:
        """Those that serve, with what their statistics begin with."""

        def ask() -> dict[str, Any]:
            url = f"http://127.0.0.1:{self.admin}/config_dump?resource=dynamic_listeners"
            with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
                found: dict[str, Any] = json.load(answer)
            return found

        found = (await asyncio.to_thread(ask)).get("configs", [])
        active = {each["name"]: each["active_state"]["listener"] for each in found if "active_state" in each}
        return {name: _prefix(each) for name, each in active.items()}

    async def until_listeners(self, **expected: str) -> None:
        async with asyncio.timeout(PATIENCE):
            while await self.listeners() != expected:  # noqa: ASYNC110  # another process
                await asyncio.sleep(0.05)


def _prefix(found: dict[str, Any]) -> str:
    return str(found["default_filter_chain"]["filters"][-1]["typed_config"]["stat_prefix"])


@pytest.fixture
async def relayed(tmp_path: Path) -> AsyncIterator[Relayed]:
    config = real(tmp_path)
    async with plane_on("127.0.0.1:0") as (plane, port):
        mine = Machine(folder=tmp_path, port=port, roots=Roots(pem=b"", path=Path("none")), tls=False)
        async with mine.running(), supervised(config):
            yield Relayed(plane, mine, config.ports.admin)


@contextlib.asynccontextmanager
async def unaided(folder: Path) -> AsyncIterator[Plane]:
    """Envoy and a control plane, with no agent between them."""
    config = real(folder)
    async with plane_at(config.xds_socket) as plane, supervised(config):
        yield plane


async def test_it_lists_what_the_tests_think_and_none_of_istios(tmp_path: Path) -> None:
    async with unaided(tmp_path) as plane:
        await until(lambda: plane.node, within=PATIENCE)
    assert plane.node is not None
    listed = {name for extension in plane.node.extensions for name in extension.type_urls}
    assert set(STOCK_TYPES) <= listed
    assert not set(ISTIO_TYPES) & listed


def exchanging() -> Listener:
    """As istiod's inbound chains begin."""
    made = bytes_only({})
    proxy = made.default_filter_chain.filters.pop()
    exchange = Filter(name="istio.metadata_exchange", typed_config=as_struct(EXCHANGE))
    made.default_filter_chain.filters.extend([exchange, proxy])
    return made


UNAIDED: dict[str, Resources] = {
    "a network filter": {type_urls.LISTENER: named(pack(exchanging()))},
    "a cluster filter": {
        type_urls.CLUSTER: named(pack(cluster({"istio.metadata_exchange": as_struct(EXCHANGE)})))
    },
    **{
        name: {type_urls.LISTENER: named(pack(web({}, HttpFilter(name=name, typed_config=config))))}
        for name, config in OUT.items()
    },
    "a route": {type_urls.LISTENER: named(pack(web({}))), type_urls.ROUTE: named(pack(routes(OUT)))},
}


@pytest.mark.parametrize("resources", UNAIDED.values(), ids=UNAIDED)
async def test_without_the_agent_it_rejects_each_of_them(resources: Resources, tmp_path: Path) -> None:
    async with unaided(tmp_path) as plane:
        empty: Resources = {type_urls.CLUSTER: {}, type_urls.LISTENER: {}}
        await plane.say({**empty, **resources})
        await until(lambda: plane.rejected, within=PATIENCE)
    assert "Didn't find a registered implementation" in plane.rejected[0]


async def test_it_takes_a_configuration_with_extensions_in_every_place(relayed: Relayed) -> None:
    await relayed.plane.play(everything(OUT))
    assert relayed.plane.rejected == []
    await relayed.until_listeners(web="web", bytes="bytes")
    assert set(relayed.vm.hub.taken_out) == {"istio.stats", "istio.metadata_exchange (HTTP)", "istio.alpn"}
    assert types.EXTENSION not in relayed.plane.asked, "nobody asks for the configuration of what is gone"


async def test_what_is_left_of_an_extension_that_comes_later_is_asked_for_and_used(relayed: Relayed) -> None:
    config = TypedExtensionConfig(name="later", typed_config=pack(Cors()))
    either = [typed(STATS).type_url, pack(Cors()).type_url]
    await relayed.plane.play(
        {
            type_urls.CLUSTER: named(pack(cluster())),
            type_urls.LISTENER: named(pack(web({}, later("later", either)))),
            type_urls.ROUTE: named(pack(routes({}))),
            types.EXTENSION: named(pack(config)),
        }
    )
    assert relayed.plane.rejected == []
    assert relayed.plane.accepted[types.EXTENSION] == relayed.plane.version


async def test_a_refused_listener_stays_as_it_was_while_the_other_changes(relayed: Relayed) -> None:
    plane = relayed.plane
    table = {type_urls.CLUSTER: named(pack(cluster())), type_urls.ROUTE: named(pack(routes({})))}
    before = named(pack(web({}, name="checked", prefix="first")), pack(web({}, name="other", prefix="first")))
    await plane.play({**table, type_urls.LISTENER: before})
    await relayed.until_listeners(checked="first", other="first")

    checked = web({}, HttpFilter(name="istio_authn", typed_config=AUTHN), name="checked", prefix="second")
    after = named(pack(checked), pack(web({}, name="other", prefix="second")))
    await plane.play({**table, type_urls.LISTENER: after})
    [why] = plane.rejected
    assert why.startswith(f"{type_urls.LISTENER}: checked: istio_authn (")
    assert "authentication: " in why
    assert plane.accepted[type_urls.LISTENER] == 1
    await relayed.until_listeners(checked="first", other="second")
    assert list(relayed.vm.hub.refused) == ["Listener checked"]

    plane.rejected.clear()
    mended = named(pack(web({}, name="checked", prefix="third")), pack(bytes_only({})))
    await plane.play({**table, type_urls.LISTENER: mended})
    assert plane.rejected == []
    await relayed.until_listeners(checked="third", bytes="bytes")
    assert not relayed.vm.hub.refused
