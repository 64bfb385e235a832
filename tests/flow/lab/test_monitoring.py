"""Port 15014: metrics under istiod's names, and what each proxy was told and said to it."""

import asyncio
import json
import re
import urllib.error
import urllib.request
from typing import Any

import pytest

from lab.controlplane import type_urls
from lab.controlplane.server import ControlPlane
from tests.flow.lab.client import PATIENCE, delta_stream, stream
from tests.flow.lab.test_streams import SECOND_SERVICE


async def ask(control_plane: ControlPlane, path: str, method: str = "GET") -> str:
    def get() -> str:
        url = f"http://{control_plane.monitoring_listening}{path}"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(urllib.request.Request(url, method=method), timeout=PATIENCE) as answer:
            return str(answer.read().decode())

    return await asyncio.to_thread(get)


async def metrics(control_plane: ControlPlane) -> dict[str, float]:
    """Series to value, comments left out."""
    told = await ask(control_plane, "/metrics")
    lines = [line.rpartition(" ") for line in told.splitlines() if not line.startswith("#")]
    return {series: float(value) for series, _, value in lines}


async def synced(control_plane: ControlPlane) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(await ask(control_plane, "/debug/syncz"))
    return found


async def test_what_is_sent_and_refused_is_counted(control_plane: ControlPlane) -> None:
    async with delta_stream(control_plane, ISTIO_VERSION="1.29.6") as mine:
        await mine.get(type_urls.CLUSTER)
        await mine.ask(type_urls.LISTENER)
        listeners = await mine.answer()
        await mine.ask(type_urls.LISTENER, nonce=listeners.nonce, error="cannot load that filter")
        await control_plane.until(lambda lab: lab.connections[0].rejected)
        control_plane.apply(SECOND_SERVICE)
        await mine.next(type_urls.CLUSTER)
        await mine.next(type_urls.LISTENER)
        await control_plane.until(lambda lab: sum(lab.metrics.convergence.sums.values()) > 0)

        told = await metrics(control_plane)
        assert told['pilot_xds{version="1.29.6"}'] == 1
        assert told["pilot_services"] == 2
        assert told['pilot_xds_pushes{type="cds"}'] == 2
        assert told['pilot_total_xds_rejects{type="lds"}'] == 1
        assert told['pilot_xds_lds_reject{node="vm204.istio-demo",err="Internal"}'] == 1
        assert told["pilot_proxy_convergence_time_count"] >= 1
        assert told['pilot_xds_push_time_count{type="cds"}'] == 2
        assert told['pilot_xds_config_size_bytes_bucket{type="cds",le="1"}'] == 0
        assert told['pilot_inbound_updates{type="svc"}'] >= 1
        assert told["pilot_debounce_time_count"] >= 1
    await control_plane.until(lambda lab: not lab.connections)
    assert 'pilot_xds{version="1.29.6"}' not in await metrics(control_plane)


async def test_every_metric_says_what_it_is(control_plane: ControlPlane) -> None:
    told = await ask(control_plane, "/metrics")
    declared = dict(re.findall(r"^# TYPE (\S+) (\S+)$", told, re.MULTILINE))
    helped = set(re.findall(r"^# HELP (\S+) \S", told, re.MULTILINE))
    assert declared.keys() == helped
    assert set(declared.values()) == {"counter", "gauge", "histogram"}


async def test_syncz_tells_what_was_sent_accepted_and_refused(control_plane: ControlPlane) -> None:
    async with stream(control_plane) as sotw, delta_stream(control_plane) as delta:
        clusters = await sotw.get(type_urls.CLUSTER)
        await sotw.ask(type_urls.LISTENER)
        await sotw.answer()
        await sotw.ask(type_urls.LISTENER, error="cannot load that filter")
        await sotw.ask(type_urls.ROUTE, "80")
        await sotw.answer()
        await delta.get(type_urls.ENDPOINT, "outbound|80||nginx.jd.com")
        await control_plane.until(lambda lab: len(lab.connections) == 2 and lab.connections[1].accepted)

        first, second = await synced(control_plane)
        assert (first["variant"], second["variant"]) == ("sotw", "delta")
        types = first["types"]
        assert {url.rpartition(".")[2]: each["status"] for url, each in types.items()} == {
            "Cluster": "SYNCED",
            "Listener": "ERROR",
            "RouteConfiguration": "STALE",
        }
        assert types[type_urls.CLUSTER]["names"] == ["*"]
        assert types[type_urls.CLUSTER]["accepted"] == clusters.version_info
        sent = types[type_urls.CLUSTER]["sent"]
        assert (sent["nonce"], sent["resources"]) == (clusters.nonce, len(clusters.resources))
        assert sent["bytes"] == clusters.ByteSize()
        assert types[type_urls.LISTENER]["reason"] == "cannot load that filter"
        assert second["types"][type_urls.ENDPOINT]["names"] == ["outbound|80||nginx.jd.com"]


@pytest.mark.parametrize(
    ("path", "method", "status"), [("/debug/syncz", "POST", 405), ("/debug/faults", "GET", 404)]
)
async def test_nothing_can_be_changed_there(
    control_plane: ControlPlane, path: str, method: str, status: int
) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        await ask(control_plane, path, method)
    caught.value.close()
    assert caught.value.code == status


async def test_a_control_plane_that_serves_is_ready(control_plane: ControlPlane) -> None:
    assert await ask(control_plane, "/ready") == "ok\n"
