"""Documents to resources and back: the table of kinds.

Owns:      which apiVersion and kind is read by whom, and what is set aside with a warning.
Does not:  open files, watch them, or hold the resources (registry.py).
Surprise:  the documents apply Deployments and Services too. Here nothing runs them, so they are set aside by
           name rather than refused; a document that is *meant* for us and wrong is an error.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import yaml

from lab.controlplane.kinds.document import BadDocument, Field, Place
from lab.controlplane.kinds.kubernetes import (
    ConfigMap,
    Namespace,
    Pod,
    ServiceAccount,
    read_config_map,
    read_namespace,
    read_pod,
    read_service_account,
)
from lab.controlplane.kinds.routing import (
    DestinationRule,
    VirtualService,
    read_destination_rule,
    read_virtual_service,
)
from lab.controlplane.kinds.service_entry import ServiceEntry, read_service_entry
from lab.controlplane.kinds.workload import (
    WorkloadEntry,
    WorkloadGroup,
    read_workload_entry,
    read_workload_group,
    write_workload_entry,
    write_workload_group,
)

Resource = (
    ServiceEntry
    | WorkloadEntry
    | WorkloadGroup
    | Pod
    | ServiceAccount
    | Namespace
    | ConfigMap
    | DestinationRule
    | VirtualService
)

NETWORKING: Final = ("networking.istio.io/v1", "networking.istio.io/v1beta1", "networking.istio.io/v1alpha3")
CORE: Final = ("v1",)

_READERS: Final[Mapping[str, tuple[tuple[str, ...], Callable[[Field], Resource]]]] = {
    ServiceEntry.KIND: (NETWORKING, read_service_entry),
    WorkloadEntry.KIND: (NETWORKING, read_workload_entry),
    WorkloadGroup.KIND: (NETWORKING, read_workload_group),
    DestinationRule.KIND: (NETWORKING, read_destination_rule),
    VirtualService.KIND: (NETWORKING, read_virtual_service),
    Pod.KIND: (CORE, read_pod),
    ServiceAccount.KIND: (CORE, read_service_account),
    Namespace.KIND: (CORE, read_namespace),
    ConfigMap.KIND: (CORE, read_config_map),
}


class _Loader(yaml.CSafeLoader):
    """libyaml's, which is eight times as fast. Times stay the strings they are in the document, as they do
    for kubectl."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """What a file held. ``warnings`` are one line each, for the log and for whoever applied the file."""

    resources: tuple[Resource, ...]
    warnings: tuple[str, ...]
    values: tuple[object, ...] = ()
    """The documents themselves, empty ones (None) included."""


def parse(text: str, *, file: str, first: int = 1) -> Parsed:
    """All documents of one YAML text, of which the first has the number ``first``. Raises `BadDocument` for
    the first that cannot be served."""
    try:
        values = list(yaml.load_all(text, Loader=_Loader))
    except yaml.YAMLError as why:
        # yaml's own text names line and column of the mistake.
        raise BadDocument(f"{file}: not YAML: {' '.join(str(why).split())}: correct that line") from why
    resources: list[Resource] = []
    warnings: list[str] = []
    for number, value in enumerate(values, start=first):
        if value is not None:
            _parse_one(Field(Place(file=file, number=number), "", value), resources, warnings)
    return Parsed(resources=tuple(resources), warnings=tuple(warnings), values=tuple(values))


def to_document(resource: WorkloadEntry | WorkloadGroup) -> dict[str, object]:
    """The document ``kubectl get -o yaml`` would show; parsing it gives an equal resource again."""
    if isinstance(resource, WorkloadEntry):
        return write_workload_entry(resource)
    return write_workload_group(resource)


def to_yaml(documents: Iterable[Mapping[str, object]]) -> str:
    return yaml.safe_dump_all([dict(document) for document in documents], allow_unicode=True)


def _parse_one(at: Field, resources: list[Resource], warnings: list[str]) -> None:
    if not isinstance(at.value, dict):
        raise at.bad("write a mapping with apiVersion, kind and metadata")
    kind, version = at["kind"].text(), at["apiVersion"].text()
    if kind == "List":
        for item in at["items"]:
            _parse_one(item, resources, warnings)
        return
    known = _READERS.get(kind)
    if known is None or version.partition("/")[0] != known[0][0].partition("/")[0]:
        name = at["metadata"]["name"].text("")
        warnings.append(
            f"{at.place}: {kind} {name or '(no name)'} ({version}) is set aside: nothing here runs it"
        )
        return
    versions, read = known
    at["apiVersion"].choice(versions)
    resource = read(at)
    resources.append(resource)
    where = f"{at.place}: {kind} {resource.metadata.namespace}/{resource.metadata.name}"
    warnings += [f"{where}: {path} is not served by this control plane" for path in at.unread()]
