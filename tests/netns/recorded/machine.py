"""Host ``vm`` in a mesh whose control plane tells it what a real istiod told one proxy.

Owns:      its files, starting and stopping agent and capture on it, and that it is left as it was found.
Does not:  know what is recorded or who asks it for what.
"""

import base64
import dataclasses
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from lab.demo.names import CONFIGURE, INSTALL
from lab.demo.saved import undone
from lab.hosts import services
from lab.hosts.furnish import CLONE_HOME
from lab.hosts.lab import Lab
from lab.hosts.services import AGENT_LOG, RESOURCES, STATE, Service
from lab.hosts.unit import Unit
from tests.conftest import RECORDINGS, ROOT

RECORDED: Final = RECORDINGS / "istiod-1.29.6"
AGENT_ENV: Final = "/etc/istio-agent/agent.env"
FIRST_FREE_PORT: Final = "/proc/sys/net/ipv4/ip_unprivileged_port_start"
PATIENCE: Final = 20.0
POLL: Final = 0.1

GROUP: Final = """
apiVersion: networking.istio.io/v1
kind: WorkloadGroup
metadata: {{name: {name}, namespace: {namespace}}}
spec:
  metadata: {{labels: {{{label}}}}}
  template: {{serviceAccount: {name}}}
"""


def drop_in() -> str:
    """What docs/gateway.md says to write for ports below 1024."""
    _, _, rest = (ROOT / "docs" / "gateway.md").read_text().partition("```ini")
    return textwrap.dedent(rest.partition("```")[0])


class Machine:
    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.host = lab.host("vm")
        self.istiod = lab.host("istiod")
        self.running: list[Service] = []
        self.before = ""

    # --- once -----------------------------------------------------------------------------------------------

    def prepare(self, recording: Path, *, name: str, namespace: str, label: str) -> None:
        """``name`` of the WorkloadGroup is that of its service account, too."""
        group = GROUP.format(name=name, namespace=namespace, label=label)
        self._start_control_plane(recording, group)
        self.istiod.write("/tmp/group.yaml", group)
        self.istiod.run(["bash", "-c", f"{CONFIGURE} -f /tmp/group.yaml -o /tmp/files"])
        for file in ("cluster.env", "mesh.yaml", "root-cert.pem", "istio-token", "hosts"):
            self.host.write(f"/tmp/files/{file}", self.istiod.read(f"/tmp/files/{file}"), mode=0o600)
        for command in INSTALL:
            self.host.run(["bash", "-c", command.format("/tmp/files")])
        self.before = self.host.run(["iptables-save"]).stdout

    def _start_control_plane(self, recording: Path, group: str) -> None:
        self.istiod.write(f"{RESOURCES}/group.yaml", group)
        for path in sorted(recording.glob("*.pb")):
            encoded = base64.b64encode(path.read_bytes()).decode()
            self.istiod.write("/tmp/encoded", encoded)
            self.istiod.run(
                ["sh", "-c", f"mkdir -p /tmp/recorded && base64 -d /tmp/encoded > /tmp/recorded/{path.name}"]
            )
        python = [f"{CLONE_HOME}/.venv/bin/python", "-m", "tests.netns.recorded.control_plane"]
        process = self.istiod.spawn(
            ["env", f"--chdir={CLONE_HOME}", *python, "/tmp/recorded", RESOURCES, STATE],
            log=services.CONTROL_PLANE_LOG,
        )
        self.istiod.until_listening(process, services.DISCOVERY_PORT, timeout=PATIENCE)

    # --- running --------------------------------------------------------------------------------------------

    def start(self, *words: str, capability: bool = False) -> None:
        """As the units start agent and capture; ``words`` behind ``vmagent proxy``; ``capability``: with the
        operator's drop-in. A second start is one of the agent alone.
        """
        text = (services.UNITS / f"{services.AGENT}.service").read_text()
        unit = Unit.parse(f"{text}\n{drop_in()}" if capability else text, name="istio-agent.service")
        unit = dataclasses.replace(unit, command=(*unit.command, *words))
        self.running[:1] = [services.start_unit(self.host, unit, log=AGENT_LOG)]
        if len(self.running) == 1:
            self.running.append(services.start_capture(self.host))

    def stop(self) -> None:
        """Nothing of ours is left, and nothing on this host is other than it was."""
        for service in reversed(self.running):
            assert service.stop() == 0
        self.running = []
        assert self.host.run(["pgrep", "-a", "-u", "istio-proxy"], check=False).stdout == ""
        assert undone(self.before, self.host.run(["iptables-save"]).stdout)
        self.host.run(["sh", "-c", f"rm -f {AGENT_LOG} {AGENT_ENV}; echo 1024 > {FIRST_FREE_PORT}"])

    # --- looking --------------------------------------------------------------------------------------------

    @property
    def status(self) -> str:
        return self.host.run(["vmagent", "status"], check=False).stdout

    @property
    def captured(self) -> bool:
        return not undone(self.before, self.host.run(["iptables-save"]).stdout)

    def gate(self, name: str) -> str:
        where = "/run/istio-capture" if name == "capture" else "/run/istio-agent"
        return self.host.run(["cat", f"{where}/gates/{name}"], check=False).stdout.strip()

    def until(self, what: str, true: Callable[[], object]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not true():
            assert time.monotonic() < deadline, f"{what}: not within {PATIENCE:g} s\n{self.status}"
            time.sleep(POLL)
