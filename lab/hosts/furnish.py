"""What a host finds at its paths: mounts and files. Runs as root inside the host's new mount namespace.

Owns:      the order of mounts, what is laid over what, the files of a fresh machine and of the installed
           package.
Does not:  start anything that stays.
Surprise:  everything an unprivileged process needs is reached through bind mounts: the clone may lie below a
           home directory that only its owner may enter.
"""

import os
import subprocess
from pathlib import Path
from typing import Final

from lab.hosts import kernel
from lab.hosts.errors import LabError
from lab.hosts.world import AGENT, ROOT, Machine, Places

OVERLAID: Final = ("/usr", "/etc", "/var")
PRIVATE: Final = {"/run": "0755", "/tmp": "1777", "/dev/shm": "1777"}
"""Fresh and empty, with their mode. /run comes after the overlays: their upper layers are mounted below
it.
"""

AGENT_HOME: Final = Path("/usr/lib/istio-agent")
CLONE_HOME: Final = Path("/usr/lib/vmagent-lab")
"""Where the clone is seen on the host that runs the control plane: the real path may be below /tmp."""

ISTIO_USER: Final = "istio-proxy"
FORBIDDEN_ID: Final = 1337
"""The uid of Istio's containers. A VM's is whatever was free; code that assumes 1337 shall fail here."""

PACKAGED: Final = {
    "packaging/bin/vmagent": ("/usr/bin/vmagent", 0o755),
    "systemd/istio-agent.service": ("/usr/lib/systemd/system/istio-agent.service", 0o644),
    "systemd/istio-capture.service": ("/usr/lib/systemd/system/istio-capture.service", 0o644),
    "systemd/istio-agent.sysusers.conf": ("/usr/lib/sysusers.d/istio-agent.conf", 0o644),
    "systemd/istio-agent.tmpfiles.conf": ("/usr/lib/tmpfiles.d/istio-agent.conf", 0o644),
    "etc/istio-agent/agent.env": ("/etc/istio-agent/agent.env", 0o644),
}
"""Files of the clone that the package installs, and where to."""


def furnish(places: Places, machine: Machine) -> None:
    """Raises OSError or LabError; the namespace is thrown away then."""
    os.umask(0o022)
    texts = {target: ((ROOT / source).read_bytes(), mode) for source, (target, mode) in PACKAGED.items()}
    _mount_all(places, machine)
    kernel.sethostname(machine.hostname)
    for target, (content, mode) in texts.items():
        _file(Path(target), content, mode)
    name_it(machine, Path("/"))
    _make_user()


def name_it(machine: Machine, root: Path) -> None:
    """Who the machine is and whom it asks for names, in the tree at ``root``."""
    _file(root / "etc/hostname", f"{machine.hostname}\n".encode())
    own = (f"{address} {machine.hostname}" for address in machine.addresses)
    hosts = ("127.0.0.1 localhost", "::1 localhost ip6-localhost", *own, "")
    _file(root / "etc/hosts", "\n".join(hosts).encode())
    _file(root / "etc/resolv.conf", machine.resolv_conf.encode())


def _mount_all(places: Places, machine: Machine) -> None:
    kernel.private_mounts()
    layers = places.host_state(machine.name) / "layers"
    layers.mkdir()
    kernel.mount("lab", str(layers), kind="tmpfs", options="mode=0755")
    for path in OVERLAID:
        _overlay(path, layers / path.strip("/"))
    _bind(AGENT, AGENT_HOME, read_only=True)
    if machine.clone:
        _bind(ROOT, CLONE_HOME, read_only=False)
    for path, mode in PRIVATE.items():
        kernel.mount("lab", path, kind="tmpfs", options=f"mode={mode}")
    Path("/run/lock").mkdir()
    Path("/run/lock").chmod(0o1777)
    kernel.mount("proc", "/proc", kind="proc")
    kernel.mount("sysfs", "/sys", kind="sysfs")


def _overlay(path: str, layers: Path) -> None:
    upper, work = layers / "upper", layers / "work"
    upper.mkdir(parents=True)
    work.mkdir()
    kernel.mount("lab", path, kind="overlay", options=f"lowerdir={path},upperdir={upper},workdir={work}")


def _bind(source: Path, target: Path, *, read_only: bool) -> None:
    if not source.is_dir():
        raise LabError(f"{source} is missing", hint="run make setup")
    target.mkdir(parents=True, exist_ok=True)
    kernel.mount(str(source), str(target), flags=kernel.BIND)
    if read_only:
        kernel.mount("none", str(target), flags=kernel.BIND | kernel.REMOUNT | kernel.RDONLY)


def _file(path: Path, content: bytes, mode: int = 0o644) -> None:
    """A real file afterwards, whatever was there: on many machines /etc/resolv.conf is a symbolic link."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    path.chmod(mode)


def _make_user() -> None:
    """With the very files that the package ships, after making sure that uid and gid come out different."""
    taken = {entry.split(":")[2] for name in ("passwd", "group") for entry in _lines(Path("/etc", name))}
    group = next(number for number in range(899, 500, -1) if str(number) not in taken)
    early = f"g {ISTIO_USER} {group}\ng lab-early -\nu lab-early {group}:lab-early\n"
    _run(["systemd-sysusers", "-"], early)
    _run(["systemd-sysusers", "istio-agent.conf"])
    _run(["systemd-tmpfiles", "--create", "istio-agent.conf"])
    fields = next(
        line.split(":") for line in _lines(Path("/etc/passwd")) if line.startswith(f"{ISTIO_USER}:")
    )
    if fields[2] == fields[3] or str(FORBIDDEN_ID) in fields[2:4]:
        raise LabError(
            f"{ISTIO_USER} has uid {fields[2]} and gid {fields[3]}: they must differ here, and not be 1337",
            hint=f"this machine has a user {ISTIO_USER} of its own: run the lab on another one",
        )


def _lines(path: Path) -> list[str]:
    return [line for line in path.read_text().splitlines() if line.count(":") > 2]


def _run(command: list[str], text: str = "") -> None:
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, check=False, env={"PATH": os.defpath}
    )
    if done.returncode != 0:
        raise LabError(
            f"{' '.join(command)}: {' '.join(done.stderr.split())}", hint="make setup installs systemd"
        )
