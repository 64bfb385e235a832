"""Documents to resources and back: the table of kinds.

Owns:      which apiVersion and kind is read by whom, and what is set aside with a warning.
Does not:  open files, watch them, or hold the resources (registry.py).
Surprise:  what is of no kind that is served is set aside by name rather than refused; a document that is
           *meant* for us and wrong is refused, and takes no other document of its file with it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import yaml

from lab.controlplane.kinds.destination_rule import DestinationRule, read_destination_rule
from lab.controlplane.kinds.document import BadDocument, Field, Place
from lab.controlplane.kinds.gateway import Gateway, read_gateway
from lab.controlplane.kinds.kubernetes import (
    ConfigMap,
    Deployment,
    Namespace,
    Pod,
    ServiceAccount,
    read_config_map,
    read_deployment,
    read_namespace,
    read_pod,
    read_service_account,
)
from lab.controlplane.kinds.kubernetes_service import (
    Endpoints,
    EndpointSlice,
    KubernetesService,
    read_endpoint_slice,
    read_endpoints,
    read_service,
)
from lab.controlplane.kinds.limits import limits
from lab.controlplane.kinds.metadata import DEFAULT_NAMESPACE
from lab.controlplane.kinds.peer_authentication import (
    SECURITY,
    PeerAuthentication,
    read_peer_authentication,
)
from lab.controlplane.kinds.service_entry import ServiceEntry, read_service_entry
from lab.controlplane.kinds.virtual_service import VirtualService, read_virtual_service
from lab.controlplane.kinds.workload import (
    WorkloadEntry,
    WorkloadGroup,
    read_workload_entry,
    read_workload_group,
    write_workload_entry,
    write_workload_group,
)
from lab.controlplane.yaml_text import pieces

Resource = (
    ServiceEntry
    | WorkloadEntry
    | WorkloadGroup
    | Pod
    | Deployment
    | ServiceAccount
    | Namespace
    | ConfigMap
    | KubernetesService
    | Endpoints
    | EndpointSlice
    | DestinationRule
    | VirtualService
    | Gateway
    | PeerAuthentication
)

NETWORKING: Final = ("networking.istio.io/v1", "networking.istio.io/v1beta1", "networking.istio.io/v1alpha3")
CORE: Final = ("v1",)

_READERS: Final[Mapping[str, tuple[tuple[str, ...], Callable[[Field], Resource]]]] = {
    ServiceEntry.KIND: (NETWORKING, read_service_entry),
    WorkloadEntry.KIND: (NETWORKING, read_workload_entry),
    WorkloadGroup.KIND: (NETWORKING, read_workload_group),
    DestinationRule.KIND: (NETWORKING, read_destination_rule),
    VirtualService.KIND: (NETWORKING, read_virtual_service),
    Gateway.KIND: (NETWORKING, read_gateway),
    PeerAuthentication.KIND: (SECURITY, read_peer_authentication),
    Pod.KIND: (CORE, read_pod),
    KubernetesService.KIND: (CORE, read_service),
    Endpoints.KIND: (CORE, read_endpoints),
    EndpointSlice.KIND: (("discovery.k8s.io/v1", "discovery.k8s.io/v1beta1"), read_endpoint_slice),
    Deployment.KIND: (("apps/v1",), read_deployment),
    ServiceAccount.KIND: (CORE, read_service_account),
    Namespace.KIND: (CORE, read_namespace),
    ConfigMap.KIND: (CORE, read_config_map),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """A document that is not served. ``key`` is its kind, namespace and name, where they can be read."""

    why: BadDocument
    key: tuple[str, str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """What a file held. ``warnings`` are one line each, for the log and for whoever applied the file."""

    resources: tuple[Resource, ...]
    warnings: tuple[str, ...]
    values: tuple[object, ...] = ()
    """The documents themselves, those that are refused included."""
    refused: tuple[Refused, ...] = ()


def parse(text: str, *, file: str, first: int = 1) -> Parsed:
    """All documents of one YAML text, of which the first has the number ``first``. Raises `BadDocument` for
    the first that cannot be served."""
    parsed = read(text, file=file, first=first)
    for refused in parsed.refused:
        raise refused.why
    return parsed


def read(text: str, *, file: str, first: int = 1) -> Parsed:
    """All documents of one YAML text, each judged on its own."""
    resources: list[Resource] = []
    warnings: list[str] = []
    refused: list[Refused] = []
    values: list[object] = []
    for piece in pieces(text):
        place = Place(file=file, number=piece.number + first - 1)
        values.append(piece.value)
        if piece.problem:
            refused.append(Refused(why=BadDocument(f"{place}: not YAML: {piece.problem}: correct that line")))
            continue
        for at in _items(Field(place, "", piece.value)):
            try:
                _parse_one(at, resources, warnings)
            except BadDocument as why:
                refused.append(Refused(why=why, key=key_of_document(at.value)))
    return Parsed(
        resources=tuple(resources), warnings=tuple(warnings), values=tuple(values), refused=tuple(refused)
    )


def key_of_document(document: object) -> tuple[str, str, str] | None:
    """Kind, namespace and name; None for what is not a resource."""
    if not isinstance(document, dict) or not isinstance(document.get("metadata"), dict):
        return None
    kind, metadata = document.get("kind"), document["metadata"]
    name, namespace = metadata.get("name"), metadata.get("namespace") or DEFAULT_NAMESPACE
    if not isinstance(kind, str) or not isinstance(name, str) or not isinstance(namespace, str):
        return None
    return kind, name if kind == Namespace.KIND else namespace, name


def to_document(resource: WorkloadEntry | WorkloadGroup) -> dict[str, object]:
    """The document ``kubectl get -o yaml`` would show; parsing it gives an equal resource again."""
    if isinstance(resource, WorkloadEntry):
        return write_workload_entry(resource)
    return write_workload_group(resource)


def to_yaml(documents: Iterable[Mapping[str, object]]) -> str:
    return yaml.safe_dump_all([dict(document) for document in documents], allow_unicode=True)


def _items(at: Field) -> Iterator[Field]:
    """The document, or what a List lists, each with an account of its own of what was read."""
    if (
        isinstance(at.value, dict)
        and at.value.get("kind") == "List"
        and isinstance(at.value.get("items"), list)
    ):
        for index, item in enumerate(at.value["items"]):
            yield from _items(Field(at.place, f"items[{index}]", item))
    else:
        yield at


def _parse_one(at: Field, resources: list[Resource], warnings: list[str]) -> None:
    if not isinstance(at.value, dict):
        raise at.bad("write a mapping with apiVersion, kind and metadata")
    kind, version = at["kind"].text(), at["apiVersion"].text()
    known = _READERS.get(kind)
    if known is None or version.partition("/")[0] != known[0][0].partition("/")[0]:
        name = at["metadata"]["name"].text("")
        warnings.append(
            f"{at.place}: {kind} {name or '(no name)'} ({version}) is set aside: it is not served here"
        )
        return
    versions, reader = known
    at["apiVersion"].choice(versions)
    resource = reader(at)
    resources.append(resource)
    where = f"{at.place}: {kind} {resource.metadata.namespace}/{resource.metadata.name}"
    warnings += [f"{where}: {path} is not served by this control plane" for path in at.unread()]
    warnings += [f"{where}: {told}" for told in limits(resource)]
