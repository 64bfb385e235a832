"""What the DNS room needs to know, as values that cannot be wrong."""

from dataclasses import dataclass
from pathlib import Path

from vmagent.config.model import Address

DEFAULT_LISTEN = Address(host="localhost", port=15053)
"""Where Istio's capture rules send queries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DnsConfig:
    """The section of ``vmagent/dns``."""

    enabled: bool = True
    listen: Address = DEFAULT_LISTEN
    """UDP and TCP. The host is an IP address or ``localhost``: both loopback addresses, since a redirected
    IPv4 packet arrives on 127.0.0.1 and a redirected IPv6 packet on ::1.
    """
    namespace: str
    """The VM's own: services of it are known by their bare short name too."""
    domain: str
    """``svc.cluster.local``, with or without the namespace in front."""
    forward_timeout: float = 5.0
    """Seconds that a client waits for a name that is not of the mesh: glibc's default. We answer a little
    earlier.
    """
    parallel: bool = False
    """Ask all resolvers at once, the first useful answer wins."""
    resolv_conf: Path = Path("/etc/resolv.conf")
    resolver_port: int = 53
    """The format of resolv.conf has no ports; a resolver elsewhere than 53 exists in tests only."""
