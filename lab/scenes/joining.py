"""A host comes into the mesh as its operator would bring it there: five files, the units' own command lines.

Does not:  wait for anything but the agent's own word that it is ready.
"""

import json
import re
import shlex
from typing import Final

from lab.demo.names import CONFIGURE, INSTALL
from lab.hosts import services
from lab.hosts.host import Host
from lab.hosts.services import Service
from lab.scenes.scene import Joining

PATIENCE: Final = 30
"""Seconds for an agent to be ready and captured for."""

LABELS: Final = "ISTIO_METAJSON_LABELS"
ENVIRONMENT: Final = "/var/lib/istio/envoy/cluster.env"
MESH: Final = "/etc/istio/config/mesh"
CAPTURE: Final = "ISTIO_META_DNS_CAPTURE"
"""On for the whole mesh of these stories; the files of one host may say otherwise."""

DESK: Final = "/tmp/files"


def join(host: Host, istiod: Host, joining: Joining) -> list[Service]:
    """What was started, in order. Raises LabError with what the agent waits for."""
    bring_files(host, istiod, joining)
    started = [
        services.start_agent(host, role="router" if joining.router else ""),
        services.start_capture(host),
    ]
    waits = f"vmagent wait --timeout {PATIENCE} && vmagent wait capture --timeout {PATIENCE}"
    host.run(["bash", "-c", f"{waits} || {{ vmagent status; exit 1; }}"])
    return started


def bring_files(host: Host, istiod: Host, joining: Joining) -> None:
    """From a machine that can ask the mesh, in one journey, and to their places, as in the document."""
    configure(istiod, joining)
    packed = istiod.run(["bash", "-c", f"tar -C {DESK} -c . | base64"]).stdout
    install = "\n".join(command.format(DESK) for command in INSTALL)
    host.run(["bash", "-c", f"mkdir -p {DESK} && base64 -d | tar -C {DESK} -x"], input=packed)
    host.run(["bash", "-e"], input=install)
    if not joining.captures_dns:
        host.run(["sed", "-Ei", f"s/({CAPTURE}(=|: ))\\S+/\\1'false'/", ENVIRONMENT, MESH])
    if joining.labels:
        text = host.read(ENVIRONMENT)
        host.write(ENVIRONMENT, labelled(text, dict(joining.labels)), mode=0o600, owner="istio-proxy")


def configure(istiod: Host, joining: Joining) -> None:
    """Raises LabError with what ``vmagent entry configure`` says: an account that nobody knows, for one."""
    group = f"/tmp/{joining.group.name}"
    istiod.copy_in(joining.group, group)
    flags = ["--autoregister"] if joining.registers else []
    istiod.run(["rm", "-rf", DESK])
    istiod.run([*shlex.split(CONFIGURE), "-f", group, "-o", DESK, *flags])


def labelled(text: str, labels: dict[str, str]) -> str:
    """cluster.env with more labels, as the document edits it."""

    def more(found: re.Match[str]) -> str:
        return f"{LABELS}='{json.dumps({**json.loads(found[1]), **labels}, separators=(',', ':'))}'"

    return re.sub(rf"^{LABELS}='(.*)'$", more, text, flags=re.MULTILINE)
