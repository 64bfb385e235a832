"""Who listens in a host's network, as its /proc tells. Nothing is connected to."""

import socket
import sys
from pathlib import Path
from typing import Final

_STATE: Final = {"tcp": "0A", "udp": "07"}
"""TCP_LISTEN, and what an unconnected UDP socket is in."""


def listens(pid: int, port: int, *, kind: str = "tcp", address: str = "") -> bool:
    """In the network of process ``pid``. With ``address`` (IPv4), bound to exactly that one."""
    wanted = f"{_hexadecimal(address)}:{port:04X}" if address else f":{port:04X}"
    for table in (kind, f"{kind}6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[1].endswith(wanted) and fields[3] == _STATE[kind]:
                return True
    return False


def _hexadecimal(address: str) -> str:
    """The kernel prints the address as a number in the machine's own byte order."""
    return f"{int.from_bytes(socket.inet_aton(address), sys.byteorder):08X}"
