"""Whether this process may change packet rules: asked before anything is touched or waited for."""

import os
from pathlib import Path
from typing import Final

from vmagent.errors import Refused

CAP_NET_ADMIN: Final = 12


def check(command: str, status: str | None = None) -> None:
    """``status`` is /proc/self/status: a root without the capability is no root here. Raises Refused."""
    status = Path("/proc/self/status").read_text() if status is None else status
    effective = next(line.split()[1] for line in status.splitlines() if line.startswith("CapEff:"))
    if os.geteuid() != 0 or not int(effective, 16) >> CAP_NET_ADMIN & 1:
        raise Refused(
            f"{command} needs root with CAP_NET_ADMIN",
            hint="start istio-capture.service, which has them, or use sudo",
        )
