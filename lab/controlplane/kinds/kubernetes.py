"""The few Kubernetes kinds the stories need: Pod, ServiceAccount, Namespace, ConfigMap.

Does not:  run anything. A Pod here is an address with labels, a service account, and ready or not.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final

from lab.controlplane.kinds.document import Field
from lab.controlplane.kinds.metadata import Metadata, read_metadata, uid_of

SIDECAR_STATUS: Final = "sidecar.istio.io/status"
"""The annotation the injector leaves on a pod it put a sidecar into."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    KIND: ClassVar[str] = "Pod"

    metadata: Metadata
    address: str
    """Empty until the pod has one."""
    service_account: str = "default"
    ready: bool = True

    @property
    def sidecar(self) -> bool:
        return SIDECAR_STATUS in self.metadata.annotations


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAccount:
    KIND: ClassVar[str] = "ServiceAccount"

    metadata: Metadata

    @property
    def uid(self) -> str:
        return uid_of(self.KIND, self.metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespace:
    """``metadata.namespace`` equals ``metadata.name``, so that every kind is found by the same key."""

    KIND: ClassVar[str] = "Namespace"

    metadata: Metadata


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigMap:
    KIND: ClassVar[str] = "ConfigMap"

    metadata: Metadata
    data: Mapping[str, str] = field(default_factory=dict)


def read_pod(at: Field) -> Pod:
    """Ready unless a Ready condition says otherwise: a pod written by hand has no status."""
    spec, status = at["spec"], at["status"]
    address = status["podIP"]
    conditions = [(each["type"].text(), each["status"].text()) for each in status["conditions"]]
    at.leave_all()  # a pod is mostly about containers, which no mesh configuration depends on
    return Pod(
        metadata=read_metadata(at["metadata"]),
        address="" if address.absent else address.address(),
        # The API server's admission fills this in; a file that was never stored does not have it.
        service_account=spec["serviceAccountName"].text("") or "default",
        ready=all(state == "True" for kind, state in conditions if kind == "Ready"),
    )


def read_service_account(at: Field) -> ServiceAccount:
    at.leave("secrets", "imagePullSecrets", "automountServiceAccountToken")
    return ServiceAccount(metadata=read_metadata(at["metadata"]))


def read_namespace(at: Field) -> Namespace:
    at.leave("spec", "status")
    metadata = read_metadata(at["metadata"])
    return Namespace(
        metadata=Metadata(
            name=metadata.name,
            namespace=metadata.name,
            labels=metadata.labels,
            annotations=metadata.annotations,
            uid=metadata.uid,
        )
    )


def read_config_map(at: Field) -> ConfigMap:
    at.leave("binaryData", "immutable")
    return ConfigMap(metadata=read_metadata(at["metadata"]), data=at["data"].labels())
