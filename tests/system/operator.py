"""What an operator types on a machine, and what he looks at."""

from pathlib import Path

from lab.demo.names import VM_ANSWER
from lab.demo.stage import DESK, Stage
from lab.hosts.machine.host import SystemdHost

BLOCK = """
sudo mkdir -p /etc/certs
sudo cp root-cert.pem  /etc/certs/root-cert.pem
sudo  mkdir -p /var/run/secrets/tokens
sudo cp istio-token /var/run/secrets/tokens/istio-token
sudo dpkg -i {package}
sudo cp cluster.env  /var/lib/istio/envoy/cluster.env
sudo cp mesh.yaml  /etc/istio/config/mesh
sudo sh -c 'cat hosts  >> /etc/hosts'
sudo chown -R istio-proxy /var/lib/istio /etc/certs /etc/istio/proxy /etc/istio/config /var/run/secrets /etc/certs/root-cert.pem
sudo systemctl start istio
""".strip().splitlines()  # noqa: E501
"""The document's step 4, without the line that fetches Istio's package."""

UNITS = ("istio-agent", "istio-capture")


def carry(host: SystemdHost, package: Path) -> str:
    """The package, to the operator's desk; its name there."""
    host.copy_in(package, f"{DESK}/{package.name}")
    return package.name


def install(host: SystemdHost, package: Path) -> None:
    host.run(["dpkg", "-i", carry(host, package)], cwd=DESK)


def version(host: SystemdHost) -> str:
    """Installed, as dpkg has it; with the state if it is another one."""
    shown = "${Version} ${db:Status-Status}"
    told = host.run(["dpkg-query", "-W", f"-f={shown}", "istio-agent"], check=False).stdout
    return told.removesuffix(" installed")


def active(host: SystemdHost) -> dict[str, str]:
    return {unit: host.show(unit, "ActiveState")["ActiveState"] for unit in UNITS}


def captured(host: SystemdHost) -> bool:
    return "ISTIO_" in host.run(["iptables-save"]).stdout


def until_joined(stage: Stage, host: str) -> None:
    stage.type(host, "vmagent wait --timeout 30 && vmagent wait --timeout 30 capture")


def until_answered(stage: Stage) -> None:
    """The VM's application answers the client over the mesh: the entry is healthy, the endpoint is there."""
    stage.until("the VM answers over the mesh", lambda: answered(stage), within=30)


def answered(stage: Stage) -> bool:
    return stage.quietly("client", "curl -sS --max-time 2 nginx.jd.com").strip() == VM_ANSWER


class Journal:
    """What the agent's units say from now on."""

    def __init__(self, host: SystemdHost) -> None:
        self._host = host
        self._cursor = host.journal("--lines=0", "--show-cursor").strip().removeprefix("-- cursor: ")

    def said(self, *units: str) -> str:
        chosen = [f"--unit={unit}" for unit in units or UNITS]
        return self._host.journal(f"--after-cursor={self._cursor}", *chosen)
