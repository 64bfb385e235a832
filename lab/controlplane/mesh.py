"""What is the same for every proxy of the mesh: trust domain, cluster, and istiod's switches.

Does not:  read the environment or files; the entry point does and hands over this value.
"""

from dataclasses import dataclass, replace
from enum import Enum

import yaml

from lab.controlplane.kinds.document import BadDocument, Field, Place
from lab.controlplane.kinds.kubernetes import ConfigMap


class Allocation(Enum):
    """Which of Istio's three ways of handing out 240.240 addresses is followed; see addresses.py."""

    NEXT_FREE = "next free"
    SEQUENTIAL = "sequential"
    HASH = "hash"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mesh:
    trust_domain: str = "cluster.local"
    dns_domain: str = "cluster.local"
    cluster_id: str = "Kubernetes"
    health_checks: bool = True
    """PILOT_ENABLE_WORKLOAD_ENTRY_HEALTHCHECKS: a health-checked entry must be Healthy to be an endpoint."""
    ip_autoallocate: bool = True
    """PILOT_ENABLE_IP_AUTOALLOCATE: a proxy that captures DNS gets addresses without asking for them too."""
    allocation: Allocation = Allocation.NEXT_FREE
    istio_filters: bool = False
    """Istio's own extensions stand in clusters and listeners, as an ordinary istiod puts them there."""

    def configured(self, istio: ConfigMap) -> "Mesh":
        """With what the ConfigMap says in its key ``mesh``; keys that are not ours stay unread."""
        place = Place(file=f"ConfigMap {istio.metadata.namespace}/{istio.metadata.name}", number=1)
        try:
            mesh = yaml.safe_load(istio.data.get("mesh", ""))
        except yaml.YAMLError as why:
            raise BadDocument(
                f"{place}: mesh is not YAML: {' '.join(str(why).split())}: correct that line"
            ) from why
        document = Field(place, "mesh", mesh)
        return replace(self, trust_domain=document["trustDomain"].text(self.trust_domain))
