"""Kubernetes kinds that name workloads and accounts: Pod, Deployment, ServiceAccount, Namespace, ConfigMap.

Does not:  run anything. A Pod here is an address with labels, a service account, and ready or not; a
           Deployment is the account its pods will have.
Surprise:  what ``kubectl get -o yaml`` shows beside that (status, managedFields, containers) is passed over
           in silence: no mesh configuration depends on it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final

from lab.controlplane.kinds.document import Field
from lab.controlplane.kinds.metadata import Metadata, read_metadata, uid_of

TLS_MODE: Final = "security.istio.io/tlsMode"
"""The label by which a workload says how it wants to be spoken to."""

DEFAULT_ACCOUNT: Final = "default"
"""Kubernetes makes it in every namespace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    KIND: ClassVar[str] = "Pod"

    metadata: Metadata
    address: str
    """Empty until the pod has one."""
    service_account: str = ""
    """Empty where nobody wrote one: an API server's admission fills in ``default``."""
    ready: bool = True
    ports: Mapping[str, int] = field(default_factory=dict)
    """Of its containers, by name."""
    hostname: str = ""
    subdomain: str = ""
    host_network: bool = False

    @property
    def tls_mode(self) -> str:
        """What the injector writes on a pod with a sidecar."""
        return self.metadata.labels.get(TLS_MODE, "disabled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    KIND: ClassVar[str] = "Deployment"

    metadata: Metadata
    service_account: str = DEFAULT_ACCOUNT
    labels: Mapping[str, str] = field(default_factory=dict)
    """Of its pods."""


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
    ports = {
        port["name"].text(): port["containerPort"].port()
        for container in spec["containers"]
        for port in container["ports"]
        if "name" in port
    }
    at.leave_all()
    return Pod(
        metadata=read_metadata(at["metadata"]),
        address="" if not address.value else address.address(),
        service_account=spec["serviceAccountName"].text(""),
        ready=all(state == "True" for kind, state in conditions if kind == "Ready"),
        ports=ports,
        hostname=spec["hostname"].text(""),
        subdomain=spec["subdomain"].text(""),
        host_network=spec["hostNetwork"].flag(False),
    )


def read_deployment(at: Field) -> Deployment:
    at.leave_all()
    template = at["spec"]["template"]
    return Deployment(
        metadata=read_metadata(at["metadata"]),
        service_account=template["spec"]["serviceAccountName"].text("") or DEFAULT_ACCOUNT,
        labels=template["metadata"]["labels"].labels(),
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
