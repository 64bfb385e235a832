"""The control plane goes away and comes back; and what a machine says about itself."""

import re
from functools import partial
from typing import Final

from lab.demo.names import CURL, DOCKER_ANSWER, ENTRY, GET_ENTRY, GRACE
from lab.demo.stage import SCENARIO, Stage, expect
from lab.demo.traffic import reached_outside
from lab.hosts import services

AWAY: Final = 20
"""Seconds without a control plane."""

ASK: Final = (
    "for n in $(seq {0}); do"
    " curl -s -o /dev/null --max-time 2 -w '%{{http_code}}\\n' nginx.jd.com; sleep 0.1;"
    " done >/tmp/answers 2>&1"
)
"""A request every tenth of a second, and what became of each."""


def start_control_plane(stage: Stage) -> None:
    stage.services["istiod"] = services.start_control_plane(
        stage.lab.host("istiod"),
        resources=SCENARIO / "cluster",
        env={"PILOT_WORKLOAD_ENTRY_GRACE_PERIOD": f"{GRACE}s"},
        arguments=("--istio-filters",) if stage.istio_filters else (),
    )


def reconnect(stage: Stage) -> None:
    before = identity(stage.mesh_quietly(GET_ENTRY))
    asking = stage.lab.host("client").spawn(["bash", "-c", ASK.format(AWAY * 9)], log="/var/log/asking.log")
    stage.note(f"the control plane stops for {AWAY} s, while the client asks ten times a second")
    stage.stop("istiod")
    stage.until("the agents notice", lambda: not connected(stage, "vm"), within=5)
    for host in ("vm", "client"):
        reached_outside(stage, host)
    stage.note("meanwhile somebody sends all traffic to the pod")
    stage.edit_resource("nginx-vs", {"weight: 100": "weight: 0", "weight: 0": "weight: 100"})
    asking.wait(timeout=AWAY + 15.0)
    start_control_plane(stage)
    answers = stage.type("client", "sort /tmp/answers | uniq -c")
    expect(re.fullmatch(r"\s*\d+ 200\s*", answers) is not None, "a request failed while it was away")
    for host in ("vm", "client"):
        stage.until(f"{host} is connected", partial(connected, stage, host), within=20)
    stage.until(
        "the change arrives",
        lambda: DOCKER_ANSWER in stage.quietly("client", f"{CURL} nginx.jd.com"),
        within=5,
    )
    stage.type("client", f"{CURL} nginx.jd.com")
    after = identity(stage.mesh_quietly(GET_ENTRY))
    expect(before == after, f"{ENTRY} is another one: {before} became {after}")


def identity(entry: str) -> str:
    """What tells one WorkloadEntry from another of the same name."""
    found = re.search(r"^  uid: (\S+)", entry, re.M)
    return found[1] if found else "none"


def connected(stage: Stage, host: str) -> bool:
    return ", connected" in stage.quietly(host, "vmagent status")


def metrics(stage: Stage) -> None:
    merged = stage.type(
        "vm", "curl -sS localhost:15020/stats/prometheus | grep -E '^(istio_agent_|envoy_server_live)'"
    )
    for name in ("istio_agent_xds_proxy_responses", "istio_agent_cert_expiry_seconds", "envoy_server_live"):
        expect(name in merged, f"15020 lacks {name}")
    envoy = stage.type("vm", "curl -sS localhost:15090/stats/prometheus | head -n 3")
    expect("envoy_" in envoy, "15090 says nothing of Envoy")
    ready = stage.type("vm", "curl -sS -o /dev/null -w '%{http_code}\\n' localhost:15021/healthz/ready")
    expect(ready.strip() == "200", f"15021 says {ready.strip()}")
    status = stage.type("vm", "vmagent status", lines=25)
    told = all(each in status for each in ("istio.alpn", "istio.metadata_exchange", "istio.stats"))
    expect(told == stage.istio_filters, "status does not say what this Envoy does without")
