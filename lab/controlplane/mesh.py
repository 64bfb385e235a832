"""What is the same for every proxy of the mesh: trust domain, cluster, istiod's switches.

Does not:  read the environment or files; the entry point does and hands over this value.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

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
    """Defaults are those of an ordinary installation. Durations in seconds."""

    trust_domain: str = "cluster.local"
    dns_domain: str = "cluster.local"
    cluster_id: str = "Kubernetes"
    root_namespace: str = "istio-system"
    """Where resources for the whole mesh live."""
    health_checks: bool = True
    """PILOT_ENABLE_WORKLOAD_ENTRY_HEALTHCHECKS: a health-checked entry must be Healthy to be an endpoint."""
    ip_autoallocate: bool = True
    """PILOT_ENABLE_IP_AUTOALLOCATE: a proxy that captures DNS gets addresses without asking for them too."""
    allocation: Allocation = Allocation.NEXT_FREE
    dual_stack: bool = False
    """ISTIO_DUAL_STACK: a proxy of both families is served in both, and not in IPv4 alone."""
    istio_filters: bool = False
    """Istio's own extensions stand in clusters and listeners, as an ordinary istiod puts them there."""
    allow_any: bool = True
    """outboundTrafficPolicy: whether what the mesh does not know passes (ALLOW_ANY) or not
    (REGISTRY_ONLY)."""
    http_proxy_port: int = 0
    """proxyHttpPort: a port for applications that use HTTP_PROXY; 0: none."""
    access_log: str = ""
    """accessLogFile: where proxies write a line for each request; empty: nowhere."""
    auto_mtls: bool = True
    connect_timeout: float = 10.0
    detection_timeout: float = 0.0
    """protocolDetectionTimeout: how long a listener looks at silent clients; 0: as long as they like."""
    admission: bool = True
    """Whether what an API server and its controllers would fill in is filled in: the account of a pod, the
    endpoints of a Service. Not so where resources are taken as they lie, as for a recording."""

    def configured(self, istio: ConfigMap) -> "Mesh":
        """With what the ConfigMap says in its key ``mesh``; keys that are not ours stay unread."""
        place = Place(file=f"ConfigMap {istio.metadata.namespace}/{istio.metadata.name}", number=1)
        try:
            mesh = yaml.safe_load(istio.data.get("mesh", ""))
        except yaml.YAMLError as why:
            raise BadDocument(
                f"{place}: mesh is not YAML: {' '.join(str(why).split())}: correct that line"
            ) from why
        return self._with(Field(place, "mesh", mesh))

    def with_settings(self, settings: Mapping[str, Any]) -> "Mesh":
        """With keys of a mesh configuration, as a mapping."""
        return self._with(Field(Place(file="mesh configuration", number=1), "", dict(settings)))

    def _with(self, at: Field) -> "Mesh":
        policy = at["outboundTrafficPolicy"]["mode"].choice(("ALLOW_ANY", "REGISTRY_ONLY", ""), "")
        connect, detection = at["connectTimeout"].duration(), at["protocolDetectionTimeout"]
        proxy = at["proxyHttpPort"]
        return replace(
            self,
            trust_domain=at["trustDomain"].text(self.trust_domain),
            root_namespace=at["rootNamespace"].text(self.root_namespace),
            allow_any=policy != "REGISTRY_ONLY" if policy else self.allow_any,
            http_proxy_port=proxy.number(self.http_proxy_port, most=65535),
            access_log=at["accessLogFile"].text(self.access_log),
            auto_mtls=at["enableAutoMtls"].flag(self.auto_mtls),
            connect_timeout=self.connect_timeout if connect is None else connect,
            detection_timeout=0.0
            if detection.value == "0s"
            else (detection.duration() or self.detection_timeout),
        )
