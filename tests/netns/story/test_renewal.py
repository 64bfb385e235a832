"""Certificates that live 10 s are renewed every 5 s, and neither a request nor a connection notices."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from lab.demo import resilience, story
from lab.demo.names import CURL, VM_ANSWER
from lab.demo.stage import Stage
from lab.hosts import services
from tests.netns.story.joined import two_machines

LIFETIME = 10
WATCHED = 30
"""Seconds of requests: more than a lifetime, so that a certificate that was not renewed would show."""


ONE_CONNECTION = """
import http.client, time
end = time.monotonic() + {0}
connection = http.client.HTTPConnection("nginx.jd.com", timeout=5)
connection.connect()
before = connection.sock
while time.monotonic() < end:
    connection.request("GET", "/")
    answer = connection.getresponse()
    answer.read()
    assert answer.status == 200 and connection.sock is before, (answer.status, "closed")
    time.sleep(0.1)
"""
"""One connection all the time, from its first second to its last."""


@pytest.fixture
def stage() -> Iterator[Stage]:
    """Both machines in the mesh, with certificates of a short life."""
    with two_machines("renewal", begin=story.begin, settings={"SECRET_TTL": f"{LIFETIME}s"}) as stage:
        yield stage


def presented(stage: Stage, host: str) -> set[str]:
    """Serial numbers of the certificates that Envoy presents."""
    found: dict[str, Any] = json.loads(stage.quietly(host, "curl -s localhost:15000/certs"))
    return {cert["serial_number"] for entry in found["certificates"] for cert in entry.get("cert_chain", ())}


def test_no_request_notices_that_certificates_are_renewed(stage: Stage) -> None:
    stage.until(
        "the first answer", lambda: VM_ANSWER in stage.quietly("client", f"{CURL} nginx.jd.com"), within=20
    )
    before = {host: presented(stage, host) for host in ("vm", "client")}
    client = stage.lab.host("client")
    stays = client.spawn(["python3", "-c", ONE_CONNECTION.format(WATCHED)], log="/var/log/staying.log")
    command = ["bash", "-c", resilience.ASK.format(WATCHED * 9)]
    client.spawn(command, log="/var/log/asking.log").wait(timeout=WATCHED * 2)
    assert stays.wait(timeout=WATCHED) == 0, client.read("/var/log/staying.log")
    answers = stage.quietly("client", "sort /tmp/answers | uniq -c").split()
    assert answers[1:] == ["200"], f"requests failed: {answers}"
    for host in ("vm", "client"):
        assert not before[host] & presented(stage, host), f"{host}: Envoy presents an old certificate"
        log = stage.quietly(host, f"grep -c 'SDS: PUSH.*resource=default' {services.AGENT_LOG}")
        assert int(log) >= WATCHED // (LIFETIME // 2) - 1
