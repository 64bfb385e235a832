"""The mesh's name table as values: what the control plane says about each host, before anybody answers DNS
from it.
"""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from operator import itemgetter

KUBERNETES = "Kubernetes"
"""``registry`` of a name that has short forms; every other registry answers for the full name only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NameEntry:
    """istio.networking.nds.v1.NameTable.NameInfo: ``ips`` as the control plane wrote them, not yet parsed."""

    ips: tuple[str, ...]
    registry: str
    shortname: str = ""
    namespace: str = ""
    alt_hosts: tuple[str, ...] = ()


NameTable = Mapping[str, NameEntry]
"""Host name, as written, to what it means."""


class Packed(Mapping[str, NameEntry]):
    """A table that makes its entries when somebody looks."""

    @abstractmethod
    def in_order(self) -> Iterator[tuple[str, NameEntry]]:
        """By host, one at a time: ten thousand at once would leave 5 MB of holes in memory."""


def in_order(table: NameTable) -> Iterator[tuple[str, NameEntry]]:
    """By host."""
    return table.in_order() if isinstance(table, Packed) else iter(sorted(table.items(), key=itemgetter(0)))
