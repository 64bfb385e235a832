"""How a machine comes into the mesh: the files, the start, the entry, the rules."""

import re

from lab.demo import resilience
from lab.demo.names import CONFIGURE, CURL, ENTRY, GET_ENTRY, INSTALL, OUTSIDE_ANSWER
from lab.demo.stage import SCENARIO, Stage, expect
from lab.hosts import services


def describe(stage: Stage, configure: str = CONFIGURE) -> None:
    stage.lab.host("istiod").copy_in(SCENARIO / "workloadgroup.yaml", "/tmp/workloadgroup.yaml")
    stage.type("istiod", "cat workloadgroup.yaml", lines=20)
    stage.mesh("apply -f namespace.yaml")
    stage.mesh("apply -f workloadgroup.yaml")
    stage.type("istiod", f"{configure} -f workloadgroup.yaml -o vm --autoregister")
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
    stage.type("vm", "vmagent wait --timeout 20 && vmagent wait capture && vmagent status", lines=20)
    log = stage.type("vm", r"grep -E 'SDS: PUSH|connected to delta upstream' /var/log/istio/istio.log")
    for line in (
        "SDS: PUSH\tresource=default",
        "SDS: PUSH\tresource=ROOTCA",
        "connected to delta upstream XDS server: istiod.istio-system.svc:15012",
    ):
        expect(line in log, f"the log lacks {line!r}")
    who = stage.type("vm", "ps -o user:12,args -C envoy", lines=3)
    expect("istio-proxy" in who and "--drain-strategy immediate" in who, "Envoy does not run as istio-proxy")
    secrets_stay_secret(stage)


def secrets_stay_secret(stage: Stage) -> None:
    """Neither token nor key in a log, a command line or a file that others may read."""
    told = stage.quietly(
        "vm",
        "for secret in $(cat /var/run/secrets/tokens/istio-token) $(sed -n 2p /etc/certs/key.pem); do"
        ' grep -rlaF -e "$secret" /var/log/istio /run/istio-agent /run/istio-capture /proc/[0-9]*/cmdline'
        " 2>/dev/null; done | grep -v ^/proc/$$/",
    )
    expect(not told.strip(), f"a secret stands in {told.split()}")
    modes = stage.quietly("vm", "stat -c '%a %U' /etc/certs/key.pem").split()
    expect(modes == ["600", "istio-proxy"], f"/etc/certs/key.pem has mode and owner {modes}")


def start(stage: Stage, host: str) -> None:
    stage.services[f"agent@{host}"] = services.start_agent(stage.lab.host(host))
    stage.services[f"capture@{host}"] = services.start_capture(stage.lab.host(host))


def registered(stage: Stage) -> None:
    stage.until("the WorkloadEntry appears", lambda: ENTRY in stage.mesh_quietly(GET_ENTRY), within=5)
    entry = stage.mesh(GET_ENTRY, lines=40)
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
    stage.note("the control plane stops before the client starts: names resolve all the same")
    stage.stop("istiod")
    start(stage, "client")
    stage.type("client", "vmagent wait config identity --timeout 1", check=False)
    asked = "dig +short -p 15053 @127.0.0.1 outside.example"
    stage.until(
        "the agent forwards", lambda: stage.quietly("client", asked).strip() == "192.168.0.70", within=10
    )
    stage.type("client", asked)
    expect("ISTIO" not in stage.quietly("client", "iptables-save"), "captured without a control plane")
    reached = stage.type("client", f"{CURL} outside.example")
    expect(reached.strip() == OUTSIDE_ANSWER, "outside.example is not reached without a control plane")
    stage.note("and comes back: the client joins by itself")
    resilience.start_control_plane(stage)
    stage.type("client", "vmagent wait --timeout 20 && vmagent wait capture")
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
            other_udp = "-p udp" in rule and "REDIRECT" in rule and not re.search(r"--dport 53\b", rule)
            expect(not other_udp, f"{host}: UDP other than DNS is touched: {rule}")
