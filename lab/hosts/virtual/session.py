"""The way into a machine with a kernel of its own: SSH over the lab's bridge, as into any server.

Owns:      the key of a lab's operator, and the command line.
Does not:  wait for anybody to answer.
Surprise:  port 22 is never captured, and open connections live through the loading of rules: whoever breaks
           that cuts off this lab as well.
"""

import shlex
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from lab.hosts.errors import LabError
from lab.hosts.world import SWITCH, Places

KEY: Final = "operator"
KNOWN: Final = "known_hosts"
"""Files in the host's state directory; the key's other half lies beside it."""

_HOST_KEY: Final = Path("etc/ssh/ssh_host_ed25519_key.pub")

CONNECT_PATIENCE: Final = 5
"""Seconds; a machine that boots refuses at once, one without power says nothing."""

IDLE: Final = 60
"""Seconds that the connection is kept for the next command: a new one costs the emulated processor one."""


def let_in(state: Path, root: Path, address: str) -> None:
    """A new key opens the machine whose files are at ``root``, and its own is known. Raises LabError."""
    key = state / KEY
    made = subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "the lab's operator", "-f", str(key)],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        raise LabError(f"ssh-keygen: {made.stderr.strip()}")
    allowed = root / "root/.ssh/authorized_keys"
    allowed.parent.mkdir(mode=0o700, exist_ok=True)
    allowed.write_text(key.with_suffix(".pub").read_text())
    (state / KNOWN).write_text(f"{address} {(root / _HOST_KEY).read_text()}")


def command(places: Places, state: Path, address: str, argv: Sequence[str]) -> list[str]:
    """The command line that runs ``argv`` there as root, for exec."""
    options = {
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": state / KNOWN,
        "BatchMode": "yes",
        "ConnectTimeout": CONNECT_PATIENCE,
        # One that has lost its machine does not keep the next command waiting.
        "ServerAliveInterval": CONNECT_PATIENCE,
        "ControlMaster": "auto",
        "ControlPath": state / "session",
        "ControlPersist": IDLE,
        "LogLevel": "ERROR",
        # For who has one.
        "RequestTTY": "yes",
    }
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    return [
        *("/usr/bin/nsenter", f"--net={places.network(SWITCH)}", "--"),
        *("/usr/bin/ssh", "-F", "none", "-i", str(state / KEY), *words, f"root@{address}", "--"),
        shlex.join(argv),
    ]
