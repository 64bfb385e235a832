"""What an operator types on a machine, and what he looks at."""

import time
from collections.abc import Sequence
from pathlib import Path

from lab.demo import joining, traffic
from lab.demo.names import CONFIGURE, CURL, OUTSIDE_ANSWER, VM_ANSWER
from lab.demo.saved import undone
from lab.demo.stage import DESK, POLL, SCENARIO, Failed, Stage
from lab.hosts.machine.host import SystemdHost
from tests.system.snapshot import Snapshot

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

OWN = {
    "/etc/hosts",
    "/etc/certs",
    "/etc/certs/root-cert.pem",
    "/etc/istio",
    "/run/secrets",
    "/run/secrets/tokens",
    "/run/secrets/tokens/istio-token",
    "/var/lib/istio",
    "/var/lib/istio/config",
    "/var/lib/istio/config/mesh",
    "/var/lib/istio/envoy",
    "/var/lib/istio/envoy/cluster.env",
}
"""What he put there himself, with the directories above it."""

HOSTS = ("vm", "client")
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


def describe(stage: Stage) -> None:
    """On each machine's desk lie the files that the mesh has for it."""
    joining.describe(stage)
    stage.lab.host("istiod").copy_in(SCENARIO / "client-sidecar.yaml", f"{DESK}/client-sidecar.yaml")
    stage.type("istiod", f"{CONFIGURE} -f client-sidecar.yaml -o client")
    for host in HOSTS:
        stage.carry(host, "istiod", host)


def until_joined(stage: Stage, host: str) -> None:
    stage.type(host, "vmagent wait --timeout 30 && vmagent wait --timeout 30 capture")


def until_answered(stage: Stage) -> None:
    """A request crosses the mesh to the VM's application, with all that the story claims of it.

    Not the first one after a restart: each worker of the client's Envoy may have kept a connection to an
    Envoy that is gone. On hosts without nft nothing tells it so (vmagent/capture/conntrack.py).
    """
    reasons = [""]

    def crossed() -> bool:
        try:
            traffic.request(stage)
        except Failed as why:
            reasons.append(str(why))
            return False
        return True

    try:
        stage.until("a request crosses the mesh", crossed, within=30)
    except Failed as late:
        raise Failed(f"{late}: {reasons[-1]}") from None


def crosses_the_mesh(stage: Stage) -> None:
    until_answered(stage)
    traffic.outside(stage)
    for host in HOSTS:
        assert captured(stage.lab.machine(host))
        assert active(stage.lab.machine(host)) == {
            "istio-agent": "active",
            "istio-capture": "active",
        }


def goes_direct(stage: Stage, fresh: dict[str, Snapshot]) -> None:
    """The VM's traffic in both directions, without anything in between. Its rules are as they were, but for
    the one that keeps connection tracking loaded until purge.
    """
    assert stage.quietly("docker", f"{CURL} 192.168.0.204").strip() == VM_ANSWER
    assert stage.quietly("vm", f"{CURL} outside.example").strip() == OUTSIDE_ANSWER
    rules = stage.quietly("vm", "(iptables-save; ip6tables-save) | grep -v istio-agent-hold")
    assert undone(fresh["vm"].rules, rules)


def seconds_of_boot(host: SystemdHost) -> float:
    """From the first process to the end of the boot."""
    told = host.run(
        ["systemctl", "show", "--property=UserspaceTimestampMonotonic", "--property=FinishTimestampMonotonic"]
    ).stdout
    times = dict(line.partition("=")[::2] for line in told.splitlines())
    return (int(times["FinishTimestampMonotonic"]) - int(times["UserspaceTimestampMonotonic"])) / 1e6


def kill_both_for_good(stage: Stage, host: SystemdHost) -> None:
    """Agent and Envoy, which leaves what it had in memory, and nobody starts them again."""
    once = "/run/systemd/system/istio-agent.service.d/once.conf"
    host.write(once, "[Service]\nRestart=no\n")
    host.run(["systemctl", "daemon-reload"])
    host.run(["systemctl", "kill", "--signal=KILL", "istio-agent"])
    stage.until("it is gone", lambda: active(host)["istio-agent"] == "failed", within=20)
    host.run(["rm", once])
    host.run(["systemctl", "daemon-reload"])


class Journal:
    """What the agent's units say from now on.

    Surprise: journalctl of systemd 252 passes over the first entry after a cursor that does not match the
              filter, so there is a cursor for each.
    """

    def __init__(self, host: SystemdHost) -> None:
        self._host = host
        filters = [_of(UNITS), *(_of((unit,)) for unit in UNITS), [_ERRORS, *_of(UNITS)]]
        self._after = {tuple(chosen): self._cursor(chosen) for chosen in filters}

    def said(self, *units: str) -> str:
        return self._since(_of(units or UNITS))

    def complaints(self) -> str:
        """What they said of priority error or worse, and what was no sentence."""
        errors = self._since([_ERRORS, *_of(UNITS)])
        return errors + "".join(line for line in self.said().splitlines() if "Traceback" in line)

    def _cursor(self, chosen: Sequence[str]) -> list[str]:
        """Nothing where there is no entry yet."""
        _, found, cursor = self._told("--lines=1", "--show-cursor", *chosen).rpartition("-- cursor: ")
        return [f"--after-cursor={cursor.strip()}"] if found else []

    def _since(self, chosen: Sequence[str]) -> str:
        return self._told(*self._after[tuple(chosen)], *chosen)

    def _told(self, *arguments: str) -> str:
        """journalctl takes it for a failure that there is nothing to tell."""
        self._host.run(["journalctl", "--sync"])
        return self._host.run(["journalctl", "--no-pager", "--quiet", *arguments], check=False).stdout

    def until_said(self, unit: str, *words: str, within: float = 15) -> str:
        """All it said, once every word is in it. Without a unit, both."""
        deadline = time.monotonic() + within
        while not all(word in (told := self.said(*filter(None, [unit]))) for word in words):
            assert time.monotonic() < deadline, f"{unit} has not said {words}:\n{told}"
            time.sleep(POLL)
        return told


_ERRORS = "--priority=err"


def _of(units: Sequence[str]) -> list[str]:
    return [f"--unit={unit}" for unit in units]
