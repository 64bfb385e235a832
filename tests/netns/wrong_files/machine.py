"""A VM that would join if one thing were not wrong.

Owns:      its good files, breaking and repairing them, and what is claimed of every wrong one: one line in
           the log and in ``vmagent status``, the same in docs/wrong-files.md, and an untouched machine.
"""

import re
import time
from collections.abc import Callable, Collection
from typing import Final

import yaml
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from lab.controlplane.tokens import ServiceAccount, TokenIssuer
from lab.demo.names import CONFIGURE, INSTALL
from lab.demo.saved import undone
from lab.hosts import services
from lab.hosts.cluster import Cluster, kind_of
from lab.hosts.lab import Lab
from lab.hosts.services import AGENT_LOG, STATE, Service
from tests.conftest import ROOT

CLUSTER_ENV: Final = "/var/lib/istio/envoy/cluster.env"
MESH: Final = "/etc/istio/config/mesh"
ROOT_CERT: Final = "/etc/certs/root-cert.pem"
TOKEN: Final = "/var/run/secrets/tokens/istio-token"
GOOD: Final = "/tmp/good"
"""Private to the host, as /root is not."""
SCENARIO: Final = ROOT / "lab" / "scenarios" / "01-vm-joins-the-mesh"
USER: Final = "istio-proxy"

ISSUER: Final = "https://kubernetes.default.svc.cluster.local"
ACCOUNT: Final = ServiceAccount("istio-demo", "vm")

ENVOY: Final = "/usr/local/bin/envoy"
"""Where Istio's package has it; ours can only be read, and some tests must take it away."""

_MESH_EDIT: Final = f"  binaryPath: {ENVOY}\n  terminationDrainDuration: 0s\n"
"""Nobody is connected who would have to be let go gently."""

NOTICED: Final = 15.0
"""Seconds until a trouble must be told: CA and control plane may be tried for 5 s before."""
HEALED: Final = 2.0
"""Seconds from the repair of a file to a VM in the mesh."""
CAPTURED: Final = 120.0
"""Seconds for the rules: nobody promises how long iptables takes on a busy machine."""

POLL: Final = 0.05

DOCUMENT: Final = ROOT / "docs" / "wrong-files.md"

_VARYING: Final = (
    (re.compile(r"\bpid \d+"), "pid PID"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), "TIME"),
    (re.compile(r"[0-9a-f]{16}…"), "HASH…"),
    (re.compile(r"after \d+\.\d s"), "after N s"),
)


def documented(line: str) -> str:
    """As the operator's page writes it: what differs each time stands in capitals."""
    for pattern, word in _VARYING:
        line = pattern.sub(word, line)
    return line


class Machine:
    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.vm = lab.host("vm")
        self.istiod = lab.host("istiod")
        self.agent: Service | None = None
        self.capture: Service | None = None
        self.control_plane: Service | None = None
        self._before = ""
        self._env, self._mesh, self._root, self._token = "", "", "", ""

    # --- once -----------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """The control plane runs, and the good files are on the VM."""
        self.start_control_plane()
        for name in ("namespace.yaml", "workloadgroup.yaml"):
            self.apply(name)
        self.istiod.copy_in(SCENARIO / "workloadgroup.yaml", "/tmp/workloadgroup.yaml")
        configure = f"{CONFIGURE} -f /tmp/workloadgroup.yaml -o /tmp/vm --autoregister"
        self.istiod.run(["bash", "-c", configure])
        for name in ("cluster.env", "mesh.yaml", "root-cert.pem", "istio-token", "hosts"):
            text = self.istiod.read(f"/tmp/vm/{name}")
            if name == "mesh.yaml":
                text += _MESH_EDIT  # its last section is defaultConfig; lines keep their numbers
            self.vm.write(f"{GOOD}/{name}", text, mode=0o600)
        for command in (*INSTALL, f"ln -s /usr/lib/istio-agent/bin/envoy {ENVOY}"):
            self.vm.run(["bash", "-c", command.format(GOOD)])
        self._env, self._mesh = self.vm.read(CLUSTER_ENV), self.vm.read(MESH)
        self._root, self._token = self.vm.read(ROOT_CERT), self.vm.read(TOKEN)
        self._before = self.vm.run(["iptables-save"]).stdout

    def start_control_plane(self) -> None:
        self.control_plane = services.start_control_plane(
            self.istiod,
            resources=SCENARIO / "cluster",
            env={"PILOT_WORKLOAD_ENTRY_GRACE_PERIOD": "0s"},  # each test registers anew
        )

    def stop_control_plane(self) -> None:
        assert self.control_plane is not None
        self.control_plane.stop()
        self.control_plane = None

    # --- the other side -------------------------------------------------------------------------------------

    def apply(self, name: str) -> None:
        for document in yaml.safe_load_all((SCENARIO / name).read_text()):
            Cluster(self.istiod).apply(document)

    def delete(self, name: str, kinds: Collection[str] = ()) -> None:
        """The documents of a file, or only those of these kinds."""
        for document in yaml.safe_load_all((SCENARIO / name).read_text()):
            kind, metadata = document["kind"], document["metadata"]
            if not kinds or kind in kinds:
                Cluster(self.istiod).delete(
                    kind_of(kind), metadata.get("namespace", "default"), metadata["name"]
                )

    def issue(self, account: ServiceAccount = ACCOUNT, *, audience: str = "istio-ca", ttl: int = 3600) -> str:
        """A token with a real signature; with a negative ``ttl`` it has expired."""
        key = load_pem_private_key(self.istiod.read(f"{STATE}/token-key.pem").encode(), None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        issuer = TokenIssuer(key, ISSUER)
        return issuer.issue(account, audiences=(audience,), ttl=ttl, now=int(time.time()))

    # --- breaking and repairing -----------------------------------------------------------------------------

    def write_env(self, change: Callable[[str], str] = str) -> None:
        self.vm.write(CLUSTER_ENV, change(self._env), owner=USER)

    def write_mesh(self, change: Callable[[str], str] = str) -> None:
        self.vm.write(MESH, change(self._mesh), owner=USER)

    def write_root(self, change: Callable[[str], str] = str) -> None:
        self.vm.write(ROOT_CERT, change(self._root), owner=USER)

    def write_token(self, text: str | None = None) -> None:
        self.vm.write(TOKEN, self._token if text is None else text, mode=0o600, owner=USER)

    def reset(self) -> None:
        """Nothing of ours runs, the files are good, and this VM has never been in the mesh."""
        for service in (self.capture, self.agent):
            if service is not None:
                service.stop()
        self.agent = self.capture = None
        self.vm.run(["pkill", "-KILL", "-u", USER], check=False)
        kept = "/etc/certs/cert-chain.pem /etc/certs/key.pem /etc/istio/proxy/last-known-good*"
        self.vm.run(["sh", "-c", f"rm -f {kept} {AGENT_LOG}"])
        self.write_env()
        self.write_mesh()
        self.write_root()
        self.write_token()
        if self.control_plane is None:
            self.start_control_plane()

    def crash(self) -> None:
        """The agent is killed, its Envoy lives on; systemd starts the agent again."""
        assert self.agent is not None
        self.agent.process.kill()
        self.agent.process.wait(2)
        self.agent = services.start_agent(self.vm)

    def start(self) -> None:
        self.agent = services.start_agent(self.vm)
        self.capture = services.start_capture(self.vm)

    # --- what is claimed ------------------------------------------------------------------------------------

    def gate(self, name: str) -> str:
        where = "/run/istio-capture" if name == "capture" else "/run/istio-agent"
        return self.vm.run(["cat", f"{where}/gates/{name}"], check=False).stdout.strip()

    def until_told(self, gate: str, *words: str) -> str:
        """What the gate says, once all the words are in it. It is one line; log, status and the operator's
        page have it; the machine is as it was.
        """
        line = self._until(lambda: self.gate(gate), words).removeprefix("waiting: ")
        assert "\n" not in line
        log = self.vm.read(AGENT_LOG)
        assert f"{gate} not ready: {line}\n" in log
        assert "Traceback" not in log
        assert self._token.strip().rpartition(".")[2] not in log
        self._until_shown(gate)
        self.assert_documented(line)
        self.assert_unharmed()
        return line

    def _until_shown(self, gate: str) -> None:
        """The status has what the gate says, which changes with each try: for how long Envoy lived."""
        deadline = time.monotonic() + NOTICED
        while True:
            line = self.gate(gate).removeprefix("waiting: ")
            status = self.vm.run(["vmagent", "status"], check=False)
            assert status.returncode == 1
            if line in status.stdout:
                return
            assert time.monotonic() < deadline, f"no {line!r} in {status.stdout}"
            time.sleep(POLL)

    def until_noted(self, *words: str) -> str:
        """For what is odd and stops nothing: a line of the log and of the status."""
        line = self._until(lambda: self.vm.run(["vmagent", "status"], check=False).stdout, words)
        line = next(each for each in line.splitlines() if all(word in each for word in words))
        line = line.split(": ", 1)[1]
        assert f"{line}\n" in self.vm.read(AGENT_LOG)
        self.assert_documented(line)
        return line

    def refused(self, command: str, code: int, *words: str, user: str | None = None) -> str:
        """A one-shot that says on standard error, in a line and its hint, why it does nothing."""
        done = self.vm.run(["bash", "-c", command], check=False, user=user)
        assert done.returncode == code, done.stdout + done.stderr
        line, *hint = done.stderr.strip().splitlines()
        assert all(word in done.stderr for word in words), done.stderr
        assert [each for each in hint if not each.startswith("  hint: ")] == []
        self.assert_documented(line.removeprefix("vmagent: "))
        return line

    def checked(self, code: int, line: str) -> None:
        """``config check`` says what the daemon says."""
        assert documented(self.check_first(code, "")) in documented(line)

    def check_first(self, code: int, word: str) -> str:
        """What ``config check`` says before anything runs."""
        done = self.vm.run(["vmagent", "config", "check"], check=False, user=USER)
        assert done.returncode == code, done.stdout + done.stderr
        line = done.stderr.strip().splitlines()[0].removeprefix("vmagent: ")
        assert word in line
        return line

    def until_captured(self) -> None:
        self._until(lambda: self.gate("capture"), ("open",), within=CAPTURED)
        assert not undone(self._before, self.vm.run(["iptables-save"]).stdout)

    def until_released(self) -> None:
        """The rules are gone. An agent whose Envoy lives has 15 s to come back first."""
        deadline = time.monotonic() + 15 + NOTICED
        while not undone(self._before, self.vm.run(["iptables-save"]).stdout):
            assert time.monotonic() < deadline, "still captured"
            time.sleep(POLL)

    def until_joined(self, within: float = NOTICED) -> float:
        """Seconds until every gate of the agent is open."""
        began = time.monotonic()
        gates = "identity xds dns envoy config"
        look = ["sh", "-c", f"cd /run/istio-agent/gates && cat {gates}"]
        while (told := self.vm.run(look, check=False).stdout.split()) != ["open"] * 5:
            assert time.monotonic() - began < within, f"not joined after {within:g} s: {' '.join(told)}"
            time.sleep(POLL)
        return time.monotonic() - began

    def assert_unharmed(self) -> None:
        assert undone(self._before, self.vm.run(["iptables-save"]).stdout)
        assert self.gate("capture") != "open"
        assert "192.168.0.70" in self.vm.run(["getent", "ahostsv4", "outside.example"]).stdout

    def assert_gone(self) -> None:
        """After a stop: no process of ours, the rules as before."""
        for service in (self.capture, self.agent):
            if service is not None:
                assert service.stop() == 0
        self.agent = self.capture = None
        assert self.vm.run(["pgrep", "-a", "-u", USER], check=False).stdout == ""
        assert undone(self._before, self.vm.run(["iptables-save"]).stdout)

    def assert_documented(self, line: str) -> None:
        assert documented(line) in DOCUMENT.read_text(), f"{DOCUMENT.name} lacks: {documented(line)}"

    def _until(self, look: Callable[[], str], words: tuple[str, ...], *, within: float = NOTICED) -> str:
        deadline = time.monotonic() + within
        while not all(word in (told := look()) for word in words):
            assert time.monotonic() < deadline, f"expected {words}, last: {told}\n{self.log_end()}"
            time.sleep(POLL)
        return told

    def log_end(self) -> str:
        return self.vm.run(["tail", "-n", "20", AGENT_LOG], check=False).stdout
