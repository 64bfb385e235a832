"""Machines that start while their control plane is away, and what becomes of requests. In this order."""

import json
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from lab.demo import joining, resilience, story, traffic
from lab.demo.names import CURL, GET_ENTRY, VM_ANSWER
from lab.demo.stage import Stage
from lab.hosts import services
from tests.netns.story.joined import HOSTS, joined, two_machines


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """Both machines in the mesh, and their names and endpoints written down on disk."""
    with two_machines("orphans", begin=story.begin) as stage:
        stage.until("the first answer", lambda: answered(stage), within=20)
        yield stage


def answered(stage: Stage) -> bool:
    return VM_ANSWER in stage.quietly("client", f"{CURL} nginx.jd.com")


def status(stage: Stage, host: str) -> dict[str, Any]:
    return dict(json.loads(stage.quietly(host, "vmagent status --json") or "{}"))


def fresh(stage: Stage, host: str) -> bool:
    return status(stage, host).get("stale") == ""


def start_anew(stage: Stage, host: str) -> None:
    """As after a reboot: no Envoy, no rules, no token, which was in memory."""
    for name in (f"capture@{host}", f"agent@{host}"):
        stage.stop(name)
    assert stage.quietly(host, "pgrep -u istio-proxy") == ""
    stage.type(host, "rm -f /var/run/secrets/tokens/istio-token")
    joining.start(stage, host)


def test_a_machine_that_starts_without_its_control_plane_serves_over_mutual_tls(stage: Stage) -> None:
    stage.stop("istiod")
    start_anew(stage, "vm")
    began = time.monotonic()
    joined(stage, "vm")
    print(f"{time.monotonic() - began:.1f} s until ready and captured")
    assert status(stage, "vm")["stale"] == "serving last known good, 0 minutes old"
    screen = stage.quietly("vm", "vmagent status")
    assert "ready, serving last known good, 0 minutes old" in screen
    assert "not connected" in screen
    stage.until("a request crosses the mesh", lambda: answered(stage), within=10)
    print(f"{time.monotonic() - began:.1f} s until a request crosses")
    traffic.request(stage)


def test_so_does_its_client_and_the_names_of_the_mesh_are_there(stage: Stage) -> None:
    start_anew(stage, "client")
    joined(stage, "client")
    assert status(stage, "client")["stale"] == "serving last known good, 0 minutes old"
    traffic.request(stage)
    traffic.outside(stage)


def test_the_control_planes_return_replaces_it_and_no_request_is_lost(stage: Stage) -> None:
    asking = stage.lab.host("client").spawn(
        ["bash", "-c", resilience.ASK.format(120)], log="/var/log/asking.log"
    )
    resilience.start_control_plane(stage)
    for host in HOSTS:
        stage.until(f"{host} hears of it", partial(fresh, stage, host), within=30)
    asking.wait(timeout=60)
    answers = stage.quietly("client", "sort /tmp/answers | uniq -c").split()
    assert answers == ["120", "200"]
    for host in HOSTS:
        log = stage.quietly(host, f"cat {services.AGENT_LOG}")
        assert "serving last known good" in log
        assert "Envoy rejected" not in log
    stage.until("the VM is registered", lambda: "connectedAt" in stage.mesh_quietly(GET_ENTRY), within=10)
