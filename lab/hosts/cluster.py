"""The control plane's Kubernetes-shaped API, as kubectl would use it.

Owns:      kinds and their paths, and the four requests.
Does not:  understand a resource.
"""

import http.client
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from lab.hosts.errors import LabError
from lab.hosts.host import Host
from lab.hosts.loopback import Answer, Unanswered, ask

PORT: Final = 8001
PATIENCE: Final = 15.0
"""Seconds for one answer, as kubectl's own connection set-up allows several."""

FAULTS: Final = "/debug/faults"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    name: str
    api_version: str
    plural: str
    short: str
    namespaced: bool = True

    @property
    def group(self) -> str:
        """Empty for Kubernetes' core."""
        return self.api_version.rpartition("/")[0]

    @property
    def typed(self) -> str:
        """As kubectl names one: ``serviceentry.networking.istio.io``, ``pod``."""
        return f"{self.name.lower()}.{self.group}".rstrip(".")

    def collection(self, namespace: str | None) -> str:
        prefix = "/api/v1" if self.api_version == "v1" else f"/apis/{self.api_version}"
        inside = f"/namespaces/{namespace}" if self.namespaced and namespace else ""
        return f"{prefix}{inside}/{self.plural}"


_ISTIO: Final = "networking.istio.io/v1"

KINDS: Final = (
    Kind("Namespace", "v1", "namespaces", "ns", namespaced=False),
    Kind("ServiceAccount", "v1", "serviceaccounts", "sa"),
    Kind("ConfigMap", "v1", "configmaps", "cm"),
    Kind("Pod", "v1", "pods", "po"),
    Kind("Service", "v1", "services", "svc"),
    Kind("Endpoints", "v1", "endpoints", "ep"),
    Kind("EndpointSlice", "discovery.k8s.io/v1", "endpointslices", "eps"),
    Kind("Deployment", "apps/v1", "deployments", "deploy"),
    Kind("ServiceEntry", _ISTIO, "serviceentries", "se"),
    Kind("WorkloadEntry", _ISTIO, "workloadentries", "we"),
    Kind("WorkloadGroup", _ISTIO, "workloadgroups", "wg"),
    Kind("DestinationRule", _ISTIO, "destinationrules", "dr"),
    Kind("VirtualService", _ISTIO, "virtualservices", "vs"),
    Kind("Gateway", _ISTIO, "gateways", "gw"),
    Kind("PeerAuthentication", "security.istio.io/v1", "peerauthentications", "pa"),
)


def kind_of(word: str) -> Kind:
    """By name, plural or short name, in any case, with or without the group. Raises LabError."""
    short, _, group = word.lower().partition(".")
    for kind in KINDS:
        if short in (kind.name.lower(), kind.plural, kind.short) and group in ("", kind.group):
            return kind
    raise LabError(f"there is no kind {word!r}", hint=", ".join(kind.plural for kind in KINDS))


class Refused(LabError):
    """The API said no, with this HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    done: str
    """``created``, ``configured`` or ``unchanged``."""
    warnings: tuple[str, ...] = ()
    """What was accepted and is without effect."""


class Cluster:
    def __init__(self, istiod: Host) -> None:
        self._host = istiod

    def list(self, kind: Kind, namespace: str | None) -> list[Json]:
        """``None``: of all namespaces."""
        items: list[Json] = self._ask("GET", kind.collection(namespace)).get("items") or []
        return items

    def get(self, kind: Kind, namespace: str, name: str) -> Json:
        """Raises Refused with status 404 if there is none."""
        return self._ask("GET", f"{kind.collection(namespace)}/{name}")

    def apply(self, document: Mapping[str, Any]) -> Applied:
        """Raises Refused with status 422 for a document that is not valid."""
        kind = kind_of(str(document.get("kind")))
        metadata = document.get("metadata") or {}
        collection = kind.collection(metadata.get("namespace") or "default")
        path = f"{collection}/{metadata.get('name')}"
        try:
            before = self._ask("GET", path)
        except Refused as why:
            if why.status != http.HTTPStatus.NOT_FOUND:
                raise
            created = self._answered("POST", collection, document)
            return Applied(done="created", warnings=created.warnings)
        put = self._answered("PUT", path, document)
        done = "unchanged" if _object(put) == before else "configured"
        return Applied(done=done, warnings=put.warnings)

    def delete(self, kind: Kind, namespace: str, name: str) -> None:
        self._ask("DELETE", f"{kind.collection(namespace)}/{name}")

    def faults(self) -> Json:
        """By name: value, whether it is on, and what it does."""
        return self._ask("GET", FAULTS)

    def set_fault(self, name: str, value: str) -> None:
        """Raises Refused with the names and values there are."""
        self._ask("PUT", FAULTS, {name: value})

    def clear_faults(self) -> None:
        self._ask("DELETE", FAULTS)

    def drop_connections(self) -> None:
        self._ask("POST", f"{FAULTS}/drop")

    def _ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Json:
        return _object(self._answered(method, path, body))

    def _answered(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Answer:
        """Raises Refused for any status that is an error."""
        answer = self._send(method, path, body)
        if answer.status >= http.HTTPStatus.BAD_REQUEST:
            raise Refused(_message(answer.text) or f"{method} {path}: {answer.status}", answer.status)
        return answer

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None) -> Answer:
        content = None if body is None else json.dumps(body)
        try:
            return ask(self._host, PORT, path, method=method, body=content, patience=PATIENCE)
        except Unanswered as error:
            raise LabError(f"the control plane does not answer: {error}", hint="lab logs istiod") from None


def _object(answer: Answer) -> Json:
    found = json.loads(answer.text) if answer.text else {}
    return found if isinstance(found, dict) else {}


def _message(text: str) -> str:
    """Of a Kubernetes Status, or the text itself."""
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text.strip()
