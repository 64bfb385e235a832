"""Makes fresh machines what the story needs, with the very scripts that Vagrant runs (lab/provision).

Owns:      which machine gets which script, and what of the clone it sees.
Does not:  join a machine to the mesh.
"""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from lab.hosts.errors import LabError
from lab.hosts.furnish import CLONE_HOME
from lab.hosts.lab import Lab
from lab.hosts.machine.host import SystemdHost
from lab.hosts.services import PROVISION
from lab.hosts.world import ROOT, machine_of

TREES: Final[Mapping[str, str]] = {"istiod": "controlplane", "vm": "iptables", "client": "iptables"}
"""The machines of ``make lab``, and what they boot."""

SCRIPTS: Final = {"istiod": "controlplane.sh", "vm": "vm.sh", "client": "client.sh"}
"""Below lab/provision; the Vagrantfile names the same."""

PROJECT: Final = "/opt/vmagent-lab"
"""Where machines that do not see the clone have what the scripts need of it."""

PATIENCE: Final = 300.0
"""Seconds for one script."""


def newest_package(directory: Path = ROOT / "dist") -> Path:
    """Raises LabError if none was built."""
    found = sorted(directory.glob("istio-agent_*.deb"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise LabError(f"there is no istio-agent_*.deb in {directory}", hint="make deb")
    return found[-1]


def raise_machines(name: str, package: Path) -> Lab:
    """A lab in which the three are machines, provisioned. Raises LabError; nothing is left then."""
    lab = Lab(name, TREES)
    lab.up()
    try:
        provision(lab, package)
    except BaseException:
        lab.down()
        raise
    return lab


def provision(lab: Lab, package: Path) -> None:
    """All three at a time. Raises LabError with the end of what a script said."""
    with ThreadPoolExecutor() as pool:
        jobs = [pool.submit(_play, lab.machine(name), script, package) for name, script in SCRIPTS.items()]
    for job in jobs:
        job.result()


def _play(host: SystemdHost, script: str, package: Path) -> None:
    project = str(CLONE_HOME)
    if not machine_of(host.name).clone:
        project = PROJECT
        host.copy_in(PROVISION, f"{PROJECT}/lab/provision", mode=0o755)
        host.copy_in(package, f"{PROJECT}/dist/{package.name}")
    host.run([f"{project}/lab/provision/{script}", project], timeout=PATIENCE)
