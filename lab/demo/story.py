"""The main story of the documents: a virtual machine joins the mesh, serves it, and leaves it.

Each step types what the operator of the document types, and claims what the document shows. The demo prints
the steps, the netns tests assert them: there is one text.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from lab.demo.saved import undone
from lab.demo.stage import SCENARIO, Failed, Stage, expect
from lab.hosts import services

GRACE: Final = 5
"""Seconds that the control plane keeps the entry of a VM that left (Istio's default is 10)."""

ENTRY: Final = "nginx-192.168.0.204"
VM_NAME: Final = "spiffe://cluster.local/ns/istio-demo/sa/vm"
CLIENT_NAME: Final = "spiffe://cluster.local/ns/istio-demo/sa/default"

CONFIGURE: Final = "vmagent entry configure --clusterID Kubernetes --ingressIP 192.168.0.59"

INSTALL: Final = (
    "mkdir -p /etc/certs /var/run/secrets/tokens",
    "cp {0}/root-cert.pem /etc/certs/root-cert.pem",
    "cp {0}/istio-token /var/run/secrets/tokens/istio-token",
    "cp {0}/cluster.env /var/lib/istio/envoy/cluster.env",
    "cp {0}/mesh.yaml /etc/istio/config/mesh",
    "cat {0}/hosts >> /etc/hosts",
    "chown -R istio-proxy /var/lib/istio /etc/certs /etc/istio/proxy /etc/istio/config /var/run/secrets",
)
"""As in the document, step 4."""


@dataclass(frozen=True, slots=True)
class Step:
    title: str
    play: Callable[[Stage], None]


def begin(stage: Stage) -> None:
    """The mesh is there before the story: a control plane, and an nginx on the VM."""
    stage.services["istiod"] = services.start_control_plane(
        stage.lab.host("istiod"),
        resources=SCENARIO / "cluster",
        env={"PILOT_WORKLOAD_ENTRY_GRACE_PERIOD": f"{GRACE}s"},
    )
    stage.services["nginx"] = services.start_application(stage.lab.host("vm"))
    stage.kept["before"] = stage.quietly("vm", "iptables-save")


def describe(stage: Stage) -> None:
    stage.lab.host("istiod").copy_in(SCENARIO / "workloadgroup.yaml", "/tmp/workloadgroup.yaml")
    stage.type("istiod", "cat workloadgroup.yaml", lines=20)
    stage.mesh("apply -f namespace.yaml")
    stage.mesh("apply -f workloadgroup.yaml")
    stage.type("istiod", f"{CONFIGURE} -f workloadgroup.yaml -o vm --autoregister")
    files = stage.quietly("istiod", "ls vm").split()
    expect(
        sorted(files) == ["cluster.env", "hosts", "istio-token", "mesh.yaml", "root-cert.pem"],
        f"expected the five files, found {files}",
    )
    stage.note('the document\'s edit: the label "class":"vm", which routing rules will select')
    stage.type(
        "istiod", r"""sed -i '/^ISTIO_METAJSON_LABELS/s/"app":"nginx"/&,"class":"vm"/' vm/cluster.env"""
    )
    stage.type("istiod", "cat vm/cluster.env", lines=30)
    env = stage.quietly("istiod", "cat vm/cluster.env")
    for line in (
        "ISTIO_META_AUTO_REGISTER_GROUP='nginx'",
        "ISTIO_META_DNS_CAPTURE='true'",
        "ISTIO_META_CLUSTER_ID='Kubernetes'",
        '"class":"vm"',
    ):
        expect(line in env, f"cluster.env lacks {line}")
    expect("readinessProbe" in stage.quietly("istiod", "cat vm/mesh.yaml"), "mesh.yaml lacks the probe")


def join(stage: Stage) -> None:
    stage.carry("vm", "istiod", "vm")
    for command in INSTALL:
        stage.type("vm", command.format("vm"))
    stage.note(
        "the two units' own command lines: istio-agent.service (as istio-proxy), istio-capture.service"
    )
    start(stage, "vm")
    stage.type("vm", "vmagent wait && vmagent wait capture && vmagent status", lines=20)
    log = stage.type("vm", r"grep -E 'SDS: PUSH|connected to upstream' /var/log/istio/istio.log")
    for line in (
        "SDS: PUSH\tresource=default",
        "SDS: PUSH\tresource=ROOTCA",
        "connected to upstream XDS server: istiod.istio-system.svc:15012",
    ):
        expect(line in log, f"the log lacks {line!r}")
    who = stage.type("vm", "ps -o user:12,args -C envoy", lines=3)
    expect("istio-proxy" in who and "--drain-strategy immediate" in who, "Envoy does not run as istio-proxy")


def start(stage: Stage, host: str) -> None:
    stage.services[f"agent@{host}"] = services.start_agent(stage.lab.host(host))
    stage.services[f"capture@{host}"] = services.start_capture(stage.lab.host(host))


def registered(stage: Stage) -> None:
    get = f"get workloadentry {ENTRY} -n istio-demo -o yaml"
    stage.until("the WorkloadEntry appears", lambda: ENTRY in stage.mesh_quietly(get), within=5)
    entry = stage.mesh(get, lines=40)
    for line in (
        "istio.io/autoRegistrationGroup: nginx",
        "istio.io/connectedAt:",
        "istio.io/workloadController:",
        "class: vm",
        "app: nginx",
        "kind: WorkloadGroup",
        "controller: true",
        "address: 192.168.0.204",
        "serviceAccount: vm",
    ):
        expect(line in entry, f"the entry lacks {line!r}")


def client_joins(stage: Stage) -> None:
    stage.note("a pod with a sidecar: the same agent, without registration")
    stage.lab.host("istiod").copy_in(SCENARIO / "client-sidecar.yaml", "/tmp/client-sidecar.yaml")
    stage.type("istiod", f"{CONFIGURE} -f client-sidecar.yaml -o client")
    stage.carry("client", "istiod", "client")
    for command in INSTALL:
        stage.quietly("client", command.format("client"))
    start(stage, "client")
    stage.type("client", "vmagent wait && vmagent wait capture")
    entries = stage.mesh("get workloadentry -n istio-demo")
    expect("192.168.0.30" not in entries, "the client registered itself without being asked to")


def captured(stage: Stage) -> None:
    for host, resolver in (("vm", "127.0.0.53"), ("client", "10.96.0.10")):
        rules = stage.type(
            host, "iptables-save | grep -E '^-A' | sed 's/ -m comment --comment [^ ]*//'", lines=60
        )
        uid = stage.quietly(host, "id -u istio-proxy").strip()
        gid = stage.quietly(host, "id -g istio-proxy").strip()
        expect(uid != gid and "1337" not in (uid, gid), "the lab does not tell uid and gid apart")
        for pattern in (
            rf"-A ISTIO_OUTPUT .*--uid-owner {uid}\b.* -j RETURN",
            rf"-A ISTIO_OUTPUT .*--gid-owner {gid}\b.* -j RETURN",
            rf"-A ISTIO_OUTPUT_DNS -d {re.escape(resolver)}/32 -p udp .*--dport 53 .*--to-ports 15053",
            rf"-A ISTIO_OUTPUT_DNS -d {re.escape(resolver)}/32 -p tcp .*--dport 53 .*--to-ports 15053",
            r"-A ISTIO_REDIRECT -p tcp .*--to-ports 15001",
            r"-A ISTIO_IN_REDIRECT -p tcp .*--to-ports 15006",
            r"-A ISTIO_INBOUND -p tcp .*--dport 22 .*-j RETURN",
        ):
            expect(re.search(pattern, rules) is not None, f"{host}: no rule like {pattern}")
        for rule in rules.splitlines():
            other_udp = "-p udp" in rule and "REDIRECT" in rule and "53" not in rule
            expect(not other_udp, f"{host}: UDP other than DNS is touched: {rule}")


def request(stage: Stage) -> None:
    stage.mesh("apply -f serviceentry.yaml")
    reached = "curl -sS --max-time 2 nginx.jd.com"
    stage.until(
        "the service answers", lambda: "Welcome to nginx" in stage.quietly("client", reached), within=15
    )
    ping = stage.type("client", "ping -c1 -W1 nginx.jd.com", check=False)
    expect(re.search(r"PING nginx\.jd\.com \(240\.240\.\d+\.\d+\)", ping) is not None, "no 240.240 address")
    answer = stage.type("client", "curl -sS nginx.jd.com")
    expect(answer.strip() == "Welcome to nginx on vm204!", f"unexpected answer: {answer.strip()!r}")
    stage.note("whose certificate did the VM's Envoy see? It tells the application in a header")
    seen = stage.type("vm", f"tail -n1 {services.ACCESS_LOG}")
    expect(f"URI={CLIENT_NAME}" in seen and f"By={VM_NAME}" in seen, "the VM's Envoy saw another name")
    stage.note("and did the client's Envoy speak TLS?")
    stats = stage.type("client", "curl -sS 'localhost:15000/stats?filter=nginx.jd.com.*ssl.handshake'")
    shaken = re.search(r"outbound\|80\|\|nginx\.jd\.com.*ssl\.handshake: (\d+)", stats)
    expect(shaken is not None and int(shaken[1]) > 0, "no TLS handshake was counted")


def leave(stage: Stage) -> None:
    stage.note("SIGTERM to istio-capture, then to istio-agent, as systemd orders them")
    stage.stop("capture@vm")
    after = stage.type("vm", "iptables-save")
    expect(undone(stage.kept["before"], after), f"iptables-save is not as before:\n{after}")
    stage.stop("agent@vm")
    expect(not stage.quietly("vm", "pgrep -u istio-proxy").strip(), "a process of istio-proxy is left")
    get = f"get workloadentry {ENTRY} -n istio-demo -o yaml"
    stage.until("disconnected", lambda: "istio.io/disconnectedAt" in stage.mesh_quietly(get), within=GRACE)
    stage.mesh(get, lines=8)
    stage.note(f"it says since when; after the grace period ({GRACE} s) it is gone")
    took = stage.until("the entry is gone", lambda: ENTRY not in stage.mesh_quietly(get), within=GRACE + 3)
    gone = stage.mesh(get, check=False)
    expect(ENTRY not in gone.replace(f'"{ENTRY}"', ""), "the entry is still there")
    stage.note(f"gone {took:.1f} s after it was seen disconnected")


STEPS: Final = (
    Step("The operator describes the VM: five files", describe),
    Step("The VM joins the mesh", join),
    Step("The control plane has written down who joined", registered),
    Step("A client joins, too", client_joins),
    Step("Traffic and DNS are captured on both", captured),
    Step("A request crosses the mesh, over mutual TLS", request),
    Step("The VM leaves without a trace", leave),
)


def replay(stage: Stage) -> None:
    """For whoever wants to walk around: the VM is back in the mesh."""
    start(stage, "vm")
    if "ready" not in stage.quietly("vm", "vmagent wait && vmagent wait capture && echo ready"):
        raise Failed("the VM did not come back")
