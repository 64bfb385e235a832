"""What every resource carries: its name, its labels, who owns it.

Does not:  invent what a document does not say, except the namespace: one that is missing means ``default``,
           as it does for kubectl.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from lab.controlplane.kinds.document import Field

DEFAULT_NAMESPACE: Final = "default"

_UIDS: Final = uuid.UUID("3b1f0c52-7d7e-4f0e-9d5f-2c8e4b6d1a90")
"""Where this control plane's uids are drawn from. An API server draws them at random when it stores an
object; here the same object has the same uid after a restart, because there is no store to remember it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnerReference:
    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    name: str
    namespace: str = DEFAULT_NAMESPACE
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    owners: tuple[OwnerReference, ...] = ()
    uid: str = ""
    generation: int = 0
    """0: the document does not say."""
    created: str = ""
    """creationTimestamp, RFC 3339, which sorts as it is written; empty: the document does not say."""


def read_export_to(at: Field) -> tuple[str, ...]:
    """Namespaces a resource is shown to; ``*`` is all, ``.`` its own, nothing written means all."""
    seen: set[str] = set()
    for each in at:
        text = each.text()
        if text not in ("*", ".", "~"):
            each.dns_label()
        if text in seen:
            raise each.bad("duplicate entry in exportTo: write it once")
        seen.add(text)
    if "*" in seen and len(seen) > 1:
        raise at.bad("exportTo must not hold other entries beside *: they say nothing more")
    return at.texts() or ("*",)


def shown_to(export_to: tuple[str, ...], *, own: str, namespace: str) -> bool:
    """Whether something of namespace ``own`` is shown to proxies of ``namespace``."""
    return "*" in export_to or namespace in export_to or ("." in export_to and own == namespace)


def read_metadata(at: Field) -> Metadata:
    at.leave(
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "resourceVersion",
        "managedFields",
        "generateName",
        "selfLink",
        "finalizers",
    )
    namespace = at["namespace"]
    return Metadata(
        name=at["name"].object_name(),
        namespace=namespace.dns_label() if namespace.value else DEFAULT_NAMESPACE,
        labels=at["labels"].labels(),
        annotations=at["annotations"].labels(),
        owners=tuple(_read_owner(owner) for owner in at["ownerReferences"]),
        uid=at["uid"].text(""),
        generation=at["generation"].number(0),
        created=at["creationTimestamp"].text(""),
    )


def write_metadata(metadata: Metadata) -> dict[str, object]:
    """The keys ``kubectl get -o yaml`` shows, in its order, without the empty ones."""
    shown = {
        "annotations": dict(metadata.annotations),
        "generation": metadata.generation,
        "labels": dict(metadata.labels),
        "name": metadata.name,
        "namespace": metadata.namespace,
        "ownerReferences": [_write_owner(owner) for owner in metadata.owners],
        "uid": metadata.uid,
    }
    return {key: value for key, value in shown.items() if value}


def uid_of(kind: str, metadata: Metadata) -> str:
    """The uid of the document, or else one derived from kind, namespace and name."""
    return metadata.uid or str(uuid.uuid5(_UIDS, f"{kind}/{metadata.namespace}/{metadata.name}"))


def _read_owner(at: Field) -> OwnerReference:
    at.leave("blockOwnerDeletion")
    return OwnerReference(
        api_version=at["apiVersion"].text(),
        kind=at["kind"].text(),
        name=at["name"].text(),
        uid=at["uid"].text(""),
        controller=at["controller"].flag(False),
    )


def _write_owner(owner: OwnerReference) -> dict[str, object]:
    shown = {
        "apiVersion": owner.api_version,
        "controller": owner.controller,
        "kind": owner.kind,
        "name": owner.name,
        "uid": owner.uid,
    }
    return {key: value for key, value in shown.items() if value}
