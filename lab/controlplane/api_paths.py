"""The paths of a Kubernetes API server, for the kinds that are served here.

Owns:      what a path means. Answers are ``api.py``'s.
"""

from dataclasses import dataclass
from typing import Final

from lab.controlplane.kinds.peer_authentication import SECURITY
from lab.controlplane.registry import Key
from lab.controlplane.resources import NETWORKING


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKind:
    kind: str
    plural: str
    versions: tuple[str, ...]
    namespaced: bool = True

    @property
    def qualified(self) -> str:
        """The plural and its group, by which an API server names it."""
        return f"{self.plural}.{self.versions[0].rpartition('/')[0]}".rstrip(".")


def _networking(kind: str, plural: str) -> ApiKind:
    return ApiKind(kind=kind, plural=plural, versions=NETWORKING)


KINDS: Final = (
    ApiKind(kind="Namespace", plural="namespaces", versions=("v1",), namespaced=False),
    ApiKind(kind="ServiceAccount", plural="serviceaccounts", versions=("v1",)),
    ApiKind(kind="ConfigMap", plural="configmaps", versions=("v1",)),
    ApiKind(kind="Pod", plural="pods", versions=("v1",)),
    ApiKind(kind="Service", plural="services", versions=("v1",)),
    ApiKind(kind="Endpoints", plural="endpoints", versions=("v1",)),
    ApiKind(kind="EndpointSlice", plural="endpointslices", versions=("discovery.k8s.io/v1",)),
    ApiKind(kind="Deployment", plural="deployments", versions=("apps/v1",)),
    _networking("ServiceEntry", "serviceentries"),
    _networking("WorkloadEntry", "workloadentries"),
    _networking("WorkloadGroup", "workloadgroups"),
    _networking("DestinationRule", "destinationrules"),
    _networking("VirtualService", "virtualservices"),
    _networking("Gateway", "gateways"),
    ApiKind(kind="PeerAuthentication", plural="peerauthentications", versions=SECURITY),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a path is about."""

    kind: ApiKind
    version: str
    namespace: str | None
    """None: all of them, or a kind that lives in none."""
    name: str | None
    """None: the collection."""
    subresource: str = ""

    @property
    def key(self) -> Key:
        """Only of a single object."""
        name = self.name or ""
        return self.kind.kind, self.namespace if self.namespace is not None else name, name


def target(path: tuple[str, ...]) -> Target | None:
    """None for a path that means nothing here."""
    match path:
        case ("api", "v1", *rest):
            return _within("v1", rest)
        case ("apis", group, version, *rest):
            return _within(f"{group}/{version}", rest)
        case _:
            return None


def _within(version: str, rest: list[str]) -> Target | None:
    namespace: str | None = None
    # A third segment makes it a path inside a namespace; with two it is the Namespace object itself.
    if len(rest) > 2 and rest[0] == "namespaces":
        namespace, rest = rest[1], rest[2:]
    if not 1 <= len(rest) <= 3:
        return None
    plural, name, subresource = (*rest, None, None)[:3]
    kind = next((each for each in KINDS if each.plural == plural and version in each.versions), None)
    if kind is None or (name is not None and kind.namespaced != (namespace is not None)):
        return None
    return Target(kind=kind, version=version, namespace=namespace, name=name, subresource=subresource or "")
