"""Objects that every cluster with Istio has although nobody applied them: Istio's ConfigMaps, the root
certificate in each namespace, the namespaces and accounts that are in use.

Owns:      their content. A document that somebody applies under the same name takes their place.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from lab.controlplane.accounts import ALWAYS, account_problem, namespace_exists
from lab.controlplane.documents import Document
from lab.controlplane.kinds.kubernetes import DEFAULT_ACCOUNT, ConfigMap
from lab.controlplane.registry import Key, World
from lab.controlplane.tokens import ServiceAccount

ISTIO_NAMESPACE: Final = "istio-system"
MESH_CONFIG: Final[Key] = (ConfigMap.KIND, ISTIO_NAMESPACE, "istio")
ROOT_CERTIFICATE: Final = "istio-ca-root-cert"
INJECTOR: Final = "istio-sidecar-injector"


@dataclass(frozen=True, slots=True, kw_only=True)
class Builtins:
    root_pem: str
    trust_domain: str
    cluster_id: str

    def document(self, world: World, key: Key) -> Document | None:
        kind, namespace, name = key
        if kind == "ConfigMap":
            return self._config_map(world, namespace, name)
        if kind == "Namespace" and namespace_exists(world, name):
            return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}}
        if kind == "ServiceAccount" and not account_problem(world, ServiceAccount(namespace, name)):
            return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": namespace}}
        return None

    def keys(self, world: World, kind: str, namespace: str | None) -> Iterator[Key]:
        """Those that a list shows; ``None`` is every namespace."""
        for each in sorted(ALWAYS | {resource.metadata.namespace for resource in world.resources.values()}):
            if kind == "Namespace":
                yield kind, each, each
            elif namespace not in (None, each):
                continue
            elif kind == "ServiceAccount":
                yield kind, each, DEFAULT_ACCOUNT
            elif kind == "ConfigMap":
                yield kind, each, ROOT_CERTIFICATE
                if each == ISTIO_NAMESPACE:
                    yield MESH_CONFIG
                    yield kind, each, INJECTOR

    def _config_map(self, world: World, namespace: str, name: str) -> Document | None:
        if (namespace, name) == MESH_CONFIG[1:]:
            return _config_map(
                namespace, name, {"mesh": _yaml(self._mesh()), "meshNetworks": "networks: {}\n"}
            )
        if (namespace, name) == (ISTIO_NAMESPACE, INJECTOR):
            cluster = {"global": {"multiCluster": {"clusterName": self.cluster_id}}}
            return _config_map(namespace, name, {"values": _yaml(cluster)})
        if name == ROOT_CERTIFICATE and namespace_exists(world, namespace):
            return _config_map(namespace, name, {"root-cert.pem": self.root_pem})
        return None

    def _mesh(self) -> Document:
        capture = {"ISTIO_META_DNS_AUTO_ALLOCATE": "true", "ISTIO_META_DNS_CAPTURE": "true"}
        return {
            "defaultConfig": {
                "discoveryAddress": f"istiod.{ISTIO_NAMESPACE}.svc:15012",
                "proxyMetadata": capture,
            },
            "enablePrometheusMerge": True,
            "rootNamespace": ISTIO_NAMESPACE,
            "trustDomain": self.trust_domain,
        }


def _config_map(namespace: str, name: str, data: Mapping[str, str]) -> Document:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": dict(data)}


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value)
