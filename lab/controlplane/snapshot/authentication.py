"""PeerAuthentication: the mode that counts for a workload, a port, a whole namespace.

Owns:      which policy wins: the workload's, its namespace's, the mesh's; of several, the oldest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from lab.controlplane.kinds.peer_authentication import PeerAuthentication
from lab.controlplane.mesh import Mesh
from lab.controlplane.registry import World
from lab.controlplane.workloads import selects

UNSET: Final = "UNSET"
DISABLE: Final = "DISABLE"
PERMISSIVE: Final = "PERMISSIVE"
STRICT: Final = "STRICT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Modes:
    """Of one workload."""

    whole: str
    ports: Mapping[int, str]
    """Ports that somebody gave a mode of their own."""

    def of(self, port: int) -> str:
        return self.ports.get(port, self.whole)


@dataclass(frozen=True, slots=True)
class Policies:
    """Of one world."""

    policies: tuple[PeerAuthentication, ...]
    root_namespace: str

    @classmethod
    def of(cls, world: World, mesh: Mesh) -> "Policies":
        return cls(tuple(sorted(world.all(PeerAuthentication), key=_age)), mesh.root_namespace)

    def of_namespace(self, namespace: str) -> str:
        """What clients may expect of any workload there."""
        return self._whole(namespace) or PERMISSIVE

    def of_workload(self, namespace: str, labels: Mapping[str, str]) -> Modes:
        whole = self.of_namespace(namespace)
        for policy in self.policies:
            if (
                policy.metadata.namespace == namespace
                and policy.selector
                and selects(policy.selector, labels)
            ):
                own = whole if policy.mode == UNSET else policy.mode
                ports = {port: own if mode == UNSET else mode for port, mode in policy.ports.items()}
                return Modes(whole=own, ports=ports)
        return Modes(whole=whole, ports={})

    def _whole(self, namespace: str) -> str:
        for asked in (namespace, self.root_namespace):
            for policy in self.policies:
                if policy.metadata.namespace == asked and not policy.selector:
                    if policy.mode != UNSET:
                        return policy.mode
                    break
        return ""


def _age(policy: PeerAuthentication) -> tuple[str, str, str]:
    return policy.metadata.created, policy.metadata.name, policy.metadata.namespace
