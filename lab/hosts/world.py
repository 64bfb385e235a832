"""The hosts of a lab, their addresses and where a lab keeps its things. Values only; nothing here acts."""

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Final, Self

from lab.hosts.errors import LabError

ROOT: Final = Path(__file__).resolve().parents[2]
"""The clone that the lab runs from."""

AGENT: Final = ROOT / ".build" / "agent"
"""What the package will put to /usr/lib/istio-agent, staged by ``make setup``."""

STATE: Final = Path("/run/vmagent-lab")
NETNS: Final = Path("/run/netns")

GATEWAY: Final = "192.168.0.1"
"""The bridge's own address: default gateway of every host. Without a default route connect() to an address
of 240.240.0.0/16 fails before any redirect is asked.
"""

PREFIX: Final = 24
CLUSTER_DNS: Final = "10.96.0.10"
OUTSIDE_NAME: Final = "outside.example"
CLUSTER_DOMAIN: Final = "cluster.local"


class Families(StrEnum):
    """Which addresses a host has."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"
    BOTH = "both"


def address6(address: str) -> str:
    """The address of IPv6 that a host has instead of this one, or beside it: ``fd00:168::204``."""
    _, network, _, host = address.split(".")
    return f"fd00:{network}::{host}"


PREFIX6: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    name: str
    address: str
    hostname: str
    resolv_conf: str
    """Content of /etc/resolv.conf."""
    more_addresses: tuple[str, ...] = ()
    """Addresses outside of the bridge's network; the switch routes them here."""
    clone: bool = False
    """Whether the clone is to be seen there: the control plane and its libraries run from it, as root."""
    tree: str = ""
    """The Debian tree that it boots (machine/tree.py); empty for a host that is made of namespaces alone."""
    families: Families = Families.IPV4

    @property
    def ipv4(self) -> bool:
        return self.families is not Families.IPV6

    @property
    def ipv6(self) -> bool:
        return self.families is not Families.IPV4

    @property
    def addresses(self) -> tuple[str, ...]:
        """Of the network at the bridge; that of IPv4 first."""
        return ((self.address,) if self.ipv4 else ()) + ((address6(self.address),) if self.ipv6 else ())

    def with_families(self, families: Families) -> Self:
        """Name servers outside of it are asked in its families, too."""
        lines = []
        for line in self.resolv_conf.splitlines():
            word, _, server = line.partition(" ")
            outside = word == "nameserver" and not server.startswith("127.")
            if families is not Families.IPV6 or not outside:
                lines.append(line)
            if families is not Families.IPV4 and outside:
                lines.append(f"{word} {address6(server)}")
        return replace(self, families=families, resolv_conf="\n".join((*lines, "")))


def _nameserver(address: str) -> str:
    return f"nameserver {address}\n"


_POD_RESOLV_CONF: Final = (
    _nameserver(CLUSTER_DNS)
    + f"search istio-demo.svc.{CLUSTER_DOMAIN} svc.{CLUSTER_DOMAIN} {CLUSTER_DOMAIN}\noptions ndots:5\n"
)
"""As the kubelet writes it for a pod of namespace istio-demo."""

ISTIOD: Final = "192.168.0.59"
OUTSIDE: Final = "192.168.0.70"

MACHINES: Final = (
    Machine(
        name="istiod",
        address=ISTIOD,
        hostname="istiod",
        resolv_conf=_nameserver(ISTIOD),
        more_addresses=(CLUSTER_DNS,),
        clone=True,
    ),
    Machine(name="vm", address="192.168.0.204", hostname="vm204", resolv_conf=_nameserver("127.0.0.53")),
    Machine(name="client", address="192.168.0.30", hostname="client", resolv_conf=_POD_RESOLV_CONF),
    Machine(
        name="docker",
        address="192.168.0.20",
        hostname="docker",
        resolv_conf=_nameserver(ISTIOD),
        more_addresses=("3.3.3.3",),
    ),
    Machine(name="outside", address=OUTSIDE, hostname="outside", resolv_conf=_nameserver(ISTIOD)),
    Machine(
        name="egress",
        address="192.168.0.80",
        hostname="egress",
        resolv_conf=_nameserver(ISTIOD),
        more_addresses=("2.2.2.2",),
    ),
)


def machine_of(name: str) -> Machine:
    """Raises LabError."""
    for machine in MACHINES:
        if machine.name == name:
            return machine
    raise LabError(f"there is no host {name!r}", hint=f"one of: {', '.join(each.name for each in MACHINES)}")


FAMILIES: Final = "families"
"""File in the state directory of a host."""

SWITCH: Final = "switch"
_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,30}")


@dataclass(frozen=True, slots=True)
class Places:
    """Where the lab called ``lab`` keeps its things on the machine that carries it."""

    lab: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.lab):
            raise LabError(
                f"{self.lab!r} cannot be a lab's name", hint="use up to 31 of a-z, 0-9 and -, a letter first"
            )

    @property
    def state(self) -> Path:
        return STATE / self.lab

    def host_state(self, host: str) -> Path:
        return self.state / host

    def network(self, host: str) -> Path:
        return NETNS / f"vmlab-{self.lab}-{host}"

    @property
    def networks(self) -> tuple[Path, ...]:
        return tuple(self.network(name) for name in (SWITCH, *(machine.name for machine in MACHINES)))
