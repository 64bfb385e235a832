"""::6/128 on ``lo``: the source address of Envoy's connections to the application, as 127.0.0.6 is for IPv4.

127.0.0.6 lies in 127.0.0.0/8 and always exists; ::6 must be added, and Istio never takes it away again. We
do.
"""

import shutil
from pathlib import Path
from typing import Final

from vmagent.capture import command
from vmagent.capture.flavour import SEARCH
from vmagent.errors import Misconfigured

ADDRESS: Final = "::6/128"
_HEX: Final = f"{6:032x}"
_IF_INET6: Final = Path("/proc/net/if_inet6")


def present() -> bool:
    return _IF_INET6.exists() and any(line.startswith(_HEX) for line in _IF_INET6.read_text().splitlines())


def add() -> None:
    command.run([_ip(), "-6", "addr", "add", ADDRESS, "dev", "lo"])


def remove() -> None:
    if present():
        command.run([_ip(), "-6", "addr", "del", ADDRESS, "dev", "lo"])


def _ip() -> str:
    tool = shutil.which("ip", path=SEARCH)
    if tool is None:
        raise Misconfigured(
            "there is no ip(8) on this host", hint="install it (Debian: apt-get install iproute2)"
        )
    return tool
