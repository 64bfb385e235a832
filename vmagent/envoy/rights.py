"""What the kernel lets Envoy do, which runs with the agent's own rights and no more.

Owns:      the lowest port that it may listen on, and what an operator does about that.
Does not:  change any right: that is root's.
"""

from pathlib import Path
from typing import Final

STATUS: Final = Path("/proc/self/status")
FIRST_FREE: Final = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")

_BIND_SERVICE: Final = 1 << 10
"""CAP_NET_BIND_SERVICE of capabilities(7)."""


def lowest_port() -> int:
    """For us and for our children: with the capability any, else what the kernel leaves to everybody."""
    for line in STATUS.read_text().splitlines():
        if line.startswith("CapEff:") and int(line.split()[1], 16) & _BIND_SERVICE:
            return 1
    return int(FIRST_FREE.read_text())


def advice(lowest: int) -> str:
    """For a proxy that may have been told to listen below ``lowest``; empty if there is nothing below."""
    if lowest <= 1:
        return ""
    return (
        f"it may not listen on ports below {lowest}: sysctl -w net.ipv4.ip_unprivileged_port_start=80, or "
        "AmbientCapabilities=CAP_NET_BIND_SERVICE (docs/gateway.md)"
    )
