"""The control plane's Kubernetes-shaped API, as kubectl would use it.

Owns:      kinds and their paths, and the four requests.
Does not:  understand a resource.
Surprise:  the API listens on the loopback of host istiod. The socket is made in that host's network by this
           very process; nothing is started there.
"""

import http.client
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from lab.hosts import kernel
from lab.hosts.errors import LabError
from lab.hosts.host import Host

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
    """By name, plural or short name, in any case. Raises LabError."""
    for kind in KINDS:
        if word.lower() in (kind.name.lower(), kind.plural, kind.short):
            return kind
    raise LabError(f"there is no kind {word!r}", hint=", ".join(kind.plural for kind in KINDS))


class Refused(LabError):
    """The API said no, with this HTTP status."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


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

    def apply(self, document: Mapping[str, Any]) -> str:
        """``created`` or ``configured``."""
        kind = kind_of(str(document.get("kind")))
        metadata = document.get("metadata") or {}
        collection = kind.collection(metadata.get("namespace") or "default")
        path = f"{collection}/{metadata.get('name')}"
        try:
            self._ask("GET", path)
        except Refused as why:
            if why.status != http.HTTPStatus.NOT_FOUND:
                raise
            self._ask("POST", collection, document)
            return "created"
        self._ask("PUT", path, document)
        return "configured"

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
        connection = _Connection(self._host)
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read().decode()
        except (OSError, http.client.HTTPException) as error:
            raise LabError(f"the control plane does not answer: {error}", hint="lab logs istiod") from None
        finally:
            connection.close()
        if answer.status >= http.HTTPStatus.BAD_REQUEST:
            raise Refused(
                _message(text) or f"{method} {path}: {answer.status} {answer.reason}", answer.status
            )
        found = json.loads(text) if text else {}
        return found if isinstance(found, dict) else {}


def _message(text: str) -> str:
    """Of a Kubernetes Status, or the text itself."""
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text.strip()


class _Connection(http.client.HTTPConnection):
    def __init__(self, host: Host) -> None:
        super().__init__("127.0.0.1", PORT, timeout=PATIENCE)
        self._network = host.network

    def connect(self) -> None:
        try:
            with kernel.inside_network(self._network):
                self.sock = socket.create_connection((self.host, self.port), PATIENCE)
        except FileNotFoundError:
            raise LabError("the lab is not up", hint="lab up") from None
