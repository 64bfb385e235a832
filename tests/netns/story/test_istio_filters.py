"""The story with a control plane that sends Istio's own extensions of Envoy, as an ordinary istiod does: the
Envoys are stock ones, and nothing in the story tells the difference.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.demo import joining, resilience, story, traffic
from lab.demo.stage import Failed, Stage
from lab.hosts import kernel
from lab.hosts.lab import Lab
from tests.browser import picture
from tests.conftest import ROOT
from tests.staging import staged

STEPS = (
    joining.describe,
    joining.join,
    joining.registered,
    joining.client_joins,
    joining.captured,
    traffic.healthy,
    traffic.request,
    traffic.outside,
    traffic.two_backends,
    traffic.routed,
    traffic.other_direction,
    resilience.metrics,
)

SYNCZ = "curl -sS localhost:8001/debug/syncz"
DUMP = "curl -sS localhost:15000/config_dump"


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    lab = Lab("filters")
    with staged(lab, istio_filters=True) as stage:
        story.begin(stage)
        yield stage


def test_a_stock_envoy_joins_serves_and_is_routed_to(stage: Stage) -> None:
    for step in STEPS:
        step(stage)


def test_the_control_plane_sent_them_and_nobody_objected(stage: Stage) -> None:
    assert "--istio-filters" in stage.quietly("istiod", "ps -o args -C python")
    told = stage.quietly("istiod", SYNCZ)
    assert len(json.loads(told)) == 2, told
    assert "error" not in told.lower(), told
    for host in ("vm", "client"):
        dump = stage.quietly(host, DUMP)
        assert "virtualInbound" in dump
        for name in ("istio.alpn", "istio.stats", "istio.metadata_exchange"):
            assert name not in dump


def test_status_and_port_15020_say_what_is_missing(stage: Stage) -> None:
    document = json.loads(stage.quietly("vm", "vmagent status --json"))
    assert document["taken_out"] == {
        "istio.alpn": ["Listener"],
        "istio.metadata_exchange": ["Cluster", "Listener"],
        "istio.metadata_exchange (HTTP)": ["Listener"],
        "istio.stats": ["Listener"],
    }
    assert document["refused"] == {}
    metrics = stage.quietly("vm", "curl -sS localhost:15020/stats/prometheus")
    assert 'vmagent_xds_extensions_taken_out{extension="istio.stats"} 1' in metrics
    assert "vmagent_xds_resources_refused 0" in metrics


def test_tables_of_the_proxys_own_configuration_tell_the_story(stage: Stage) -> None:
    def rows(command: str) -> list[list[str]]:
        return [line.split() for line in stage.mesh_quietly(command).splitlines()]

    assert ["80", "nginx.jd.com", "/*", "nginx-vs.istio-demo"] in rows("routes client --name 80")
    clusters = rows("clusters client --fqdn nginx.jd.com")
    assert {row[2] for row in clusters[1:]} >= {"-", "vm", "docker"}
    assert {row[4] for row in clusters[1:]} == {"EDS"}
    assert ["80", "-", "inbound", "ORIGINAL_DST"] in [
        row[-4:] for row in rows("clusters vm --direction inbound")
    ]
    listeners = rows("listeners vm --port 15001")
    assert ["0.0.0.0", "15001", "ALL", "PassthroughCluster"] in listeners
    live = rows("endpoints client --cluster 'outbound|80|vm|nginx.jd.com'")
    assert live[1:] == [["192.168.0.204:80", "HEALTHY", "OK", "outbound|80|vm|nginx.jd.com"]]


def test_a_host_without_an_envoy_is_named(stage: Stage) -> None:
    with pytest.raises(Failed, match="hint: lab logs docker"):
        stage.mesh("routes docker")


PICTURE = ROOT / "docs" / "images" / "control-plane.png"


def test_the_control_planes_page_shows_the_mesh_to_every_host(stage: Stage, tmp_path: Path) -> None:
    page = stage.quietly("docker", "curl -fsS http://192.168.0.59:15014/")
    for text in ("vm204.istio-demo", "nginx-192.168.0.204", "nginx.jd.com", "240.240.0.1", "SYNCED"):
        assert text in page
    assert ">ERROR<" not in page
    if os.environ.get("REGENERATE"):
        PICTURE.parent.mkdir(exist_ok=True)
        with kernel.inside_network(stage.lab.host("istiod").network):
            picture("http://127.0.0.1:15014/", tmp_path, PICTURE, height=1290)
    assert PICTURE.stat().st_size < 200_000
