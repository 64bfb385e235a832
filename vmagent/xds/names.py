"""The mesh's name table as values: what the control plane says about each host, before anybody answers DNS
from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

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
