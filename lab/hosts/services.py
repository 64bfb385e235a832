"""What runs in the hosts: the agent and capture by their unit files, the control plane, the application.

Owns:      the command lines, where each one logs, and when it counts as started.
Does not:  know what a test or the demo wants of them.
Surprise:  on a host that boots, systemd starts and stops them, and the journal has what they say.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from lab.hosts.errors import LabError
from lab.hosts.furnish import CLONE_HOME
from lab.hosts.host import Host
from lab.hosts.machine.host import SystemdHost
from lab.hosts.process import Process
from lab.hosts.unit import Unit
from lab.hosts.world import ROOT

UNITS: Final = ROOT / "systemd"
AGENT: Final = "istio-agent"
CAPTURE: Final = "istio-capture"
CONTROL_PLANE: Final = "lab-controlplane"
APPLICATION: Final = "nginx"

PROVISION: Final = ROOT / "lab" / "provision"

AGENT_LOG: Final = "/var/log/istio/istio.log"
"""Where an operator of Istio looks. On a machine with systemd the journal has it."""

CAPTURE_LOG: Final = "/var/log/istio/capture.log"
CONTROL_PLANE_LOG: Final = "/var/log/istiod.log"
ACCESS_LOG: Final = "/var/log/nginx/access.log"
ERROR_LOG: Final = "/var/log/nginx/error.log"

_LOGS: Final = {
    "istiod": (CONTROL_PLANE_LOG,),
    "vm": (AGENT_LOG, CAPTURE_LOG),
    "client": (AGENT_LOG, CAPTURE_LOG),
    "docker": (ACCESS_LOG,),
    "outside": (ACCESS_LOG,),
    "egress": (AGENT_LOG, CAPTURE_LOG, ACCESS_LOG),
}
_UNITS: Final = {"istiod": (CONTROL_PLANE,), "vm": (AGENT, CAPTURE), "client": (AGENT, CAPTURE)}

RESOURCES: Final = "/etc/istiod/resources"
STATE: Final = "/var/lib/istiod"
DISCOVERY_PORT: Final = 15012
API_PORT: Final = 8001
WEB_PORT: Final = 80
PROGRAMS: Final = "/usr/local/lib/lab"

CONTROL_PLANE_PATIENCE: Final = 20.0
"""Seconds to import xds-protos and to make the keys of a new CA."""

SIGTERM_PATIENCE: Final = 10.0
JOB_PATIENCE: Final = 150.0
"""Seconds for one job of systemd; a unit has its own, shorter time-out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    host: Host
    process: Process
    unit: Unit | None = None

    def stop(self) -> int:
        """SIGTERM; SIGKILL to the main process alone after the unit's TimeoutStopSec. Its exit status."""
        status = self.process.stop(self.unit.stop_timeout if self.unit else SIGTERM_PATIENCE)
        if self.unit and self.unit.runtime_directory and not self.unit.keeps_runtime_directory:
            self.host.run(["rm", "-rf", f"/run/{self.unit.runtime_directory}"])
        return status


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitService(Service):
    """A unit of a host that boots."""

    host: SystemdHost
    name: str

    def stop(self) -> int:
        """``systemctl stop``. Its main process's exit status."""
        self.host.run(["systemctl", "stop", self.name], timeout=JOB_PATIENCE)
        return int(self.host.show(self.name, "ExecMainStatus")["ExecMainStatus"])


def start_installed(host: SystemdHost, name: str) -> UnitService:
    """``systemctl start``: returns when systemd counts it as started."""
    host.run(["systemctl", "start", name], timeout=JOB_PATIENCE)
    return UnitService(host=host, process=host.main_process(name), name=name)


def log_command(host: Host, *, follow: bool) -> list[str]:
    """What ``lab logs`` runs in the host."""
    if isinstance(host, SystemdHost) and host.name in _UNITS:
        return _journal(_UNITS[host.name], follow=follow)
    files = [path for path in _LOGS[host.name] if follow or host.exists(path)]
    if not files:
        raise LabError(f"nothing was started in {host.name} yet")
    return ["tail", "-n", "+1", *(["-F"] if follow else []), *files]


def _journal(names: Sequence[str], *, follow: bool) -> list[str]:
    chosen = [word for name in names for word in ("--unit", name)]
    return ["journalctl", "--no-pager", *(["--follow", "--lines=all"] if follow else []), *chosen]


def start_agent(host: Host, *, role: str = "") -> Service:
    """``vmagent proxy`` as istio-proxy. Does not wait: ``vmagent wait`` does. ``role``: ``router``, where it
    is not the sidecar that the unit starts; a host that boots has that in its settings instead.
    """
    if isinstance(host, SystemdHost):
        return start_installed(host, AGENT)
    unit = read_unit(AGENT)
    if role:
        unit = replace(unit, command=(*unit.command, role))
    return start_unit(host, unit, log=AGENT_LOG)


def start_capture(host: Host) -> Service:
    """``vmagent capture hold``, root with the unit's few capabilities. Does not wait."""
    if isinstance(host, SystemdHost):
        return start_installed(host, CAPTURE)
    return start_unit(host, read_unit(CAPTURE), log=CAPTURE_LOG)


def read_unit(name: str) -> Unit:
    return Unit.parse((UNITS / f"{name}.service").read_text(), name=f"{name}.service")


def start_unit(host: Host, unit: Unit, *, log: str) -> Service:
    environment = {"USER": unit.user, "LOGNAME": unit.user, **unit.environment}
    if unit.runtime_directory:
        environment["RUNTIME_DIRECTORY"] = f"/run/{unit.runtime_directory}"
        owner = [f"--owner={unit.user}", f"--group={unit.group or unit.user}"]
        mode = f"--mode={unit.runtime_directory_mode:o}"
        host.run(["install", "-d", *owner, mode, environment["RUNTIME_DIRECTORY"]])
    process = host.spawn(unit.confined(), env=environment, log=log)
    return Service(host=host, process=process, unit=unit)


def start_control_plane(
    istiod: Host,
    *,
    resources: Path,
    env: Mapping[str, str] | None = None,
    arguments: tuple[str, ...] = (),
    module: str = "lab.controlplane",
) -> Service:
    """Copies the YAML files of ``resources`` to the host (they are read live there) and waits until it
    serves.

    ``env`` holds istiod's own variables, such as PILOT_WORKLOAD_ENTRY_GRACE_PERIOD; ``module`` is run with
    the flags of ``lab.controlplane``.
    """
    istiod.run(["install", "-d", RESOURCES, STATE])
    istiod.copy_in(resources, RESOURCES)
    command = ["env", f"--chdir={CLONE_HOME}", f"{CLONE_HOME}/.venv/bin/python", "-m", module]
    flags = ["--resources", RESOURCES, "--state", STATE, *arguments]
    process = istiod.spawn([*command, *flags], env=env, log=CONTROL_PLANE_LOG)
    for port in (DISCOVERY_PORT, API_PORT):
        istiod.until_listening(process, port, timeout=CONTROL_PLANE_PATIENCE)
    return Service(host=istiod, process=process)


def start_application(host: Host, port: int = WEB_PORT) -> Service:
    """The documents' nginx: greets with the host's name, and writes down whose certificate the proxy saw."""
    if isinstance(host, SystemdHost):
        host.run(["bash", "-s"], input=PROVISION / "application.sh")
        return start_installed(host, APPLICATION)
    greeting = f"Welcome to nginx on {host.hostname}!"
    return start_program(host, "app.py", str(port), greeting, ACCESS_LOG, port=port)


def start_program(host: Host, program: str, *arguments: str, port: int | None = None) -> Service:
    """A server of lab/hosts, run by Debian's Python alone. Returns when it has opened ``port``."""
    path = f"{PROGRAMS}/{program}"
    host.copy_in(ROOT / "lab" / "hosts" / program, path)
    process = host.spawn(["/usr/bin/python3", "-I", "-S", path, *arguments], log=ERROR_LOG)
    if port is not None:
        host.until_listening(process, port)
    return Service(host=host, process=process)
