"""What a WorkloadEntry says while its machine comes and goes. Pure: entries and instants in, entries out.

Owns:      names, labels, annotations, conditions and who may have an entry (spec: security-xds-health 4).
Does not:  store entries, count connections or wait (registrar.py).
Surprise:  an entry that is already there keeps its labels, network and locality when its machine comes
           back; only the annotations change.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from lab.controlplane.kinds.metadata import Metadata, OwnerReference
from lab.controlplane.kinds.workload import (
    HEALTH_CHECKS_ENABLED,
    HEALTHY,
    Condition,
    WorkloadEntry,
    WorkloadGroup,
)
from lab.controlplane.proxy import Proxy
from lab.controlplane.spiffe import SpiffeId
from lab.controlplane.timestamps import SECOND, parse_rfc3339, rfc3339_nano

GROUP: Final = "istio.io/autoRegistrationGroup"
CONTROLLER: Final = "istio.io/workloadController"
CONNECTED_AT: Final = "istio.io/connectedAt"
DISCONNECTED_AT: Final = "istio.io/disconnectedAt"
BOOKKEEPING: Final = frozenset({GROUP, CONTROLLER, CONNECTED_AT, DISCONNECTED_AT})
"""The annotations that are the control plane's alone."""

LOCALITY_LABEL: Final = "istio-locality"

LONGEST_NAME: Final = 253
"""Kubernetes' limit for the name of an object."""

STALE: Final = 1.5
"""A connection lives for the maximum connection age at most; an entry that claims to be connected for this
many times as long belongs to a control plane that died."""


def entry_name(proxy: Proxy) -> str:
    parts = [proxy.auto_register_group, proxy.ips[0].replace(":", "-"), proxy.network]
    return "-".join(part for part in parts if part)[-LONGEST_NAME:]


def new_entry(proxy: Proxy, group: WorkloadGroup) -> WorkloadEntry:
    """Not yet connected: ``connected`` adds what depends on the moment."""
    labels: Mapping[str, str] = {**group.template.labels, **group.labels, **proxy.labels}
    labels = {name: value for name, value in labels.items() if name != LOCALITY_LABEL}
    owner = OwnerReference(
        api_version=group.api_version,
        kind=group.KIND,
        name=group.metadata.name,
        uid=group.uid,
        controller=True,
    )
    annotations = {**group.annotations, GROUP: group.metadata.name}
    if proxy.readiness_probe:
        annotations[HEALTH_CHECKS_ENABLED] = "true"
    metadata = Metadata(
        name=entry_name(proxy),
        namespace=proxy.namespace,
        labels=labels,
        annotations=annotations,
        owners=(owner,),
        generation=1,
    )
    spec = replace(
        group.template,
        address=proxy.ips[0],
        labels=labels,
        network=proxy.network or group.template.network,
        locality=str(proxy.locality) or group.template.locality,
    )
    return WorkloadEntry(metadata=metadata, spec=spec)


def connected(entry: WorkloadEntry, *, controller: str, now: int) -> WorkloadEntry:
    added = {CONTROLLER: controller, CONNECTED_AT: rfc3339_nano(now)}
    return _annotated(entry, added, without=DISCONNECTED_AT)


def disconnected(entry: WorkloadEntry, *, now: int) -> WorkloadEntry:
    return _annotated(entry, {DISCONNECTED_AT: rfc3339_nano(now)}, without=CONNECTED_AT)


def reported(entry: WorkloadEntry, *, healthy: bool, message: str, now: int) -> WorkloadEntry:
    instant = rfc3339_nano(now)
    condition = Condition(
        type=HEALTHY,
        status="True" if healthy else "False",
        message=message,
        last_probe_time=instant,
        last_transition_time=instant,
    )
    others = tuple(each for each in entry.conditions if each.type != HEALTHY)
    return replace(entry, conditions=(*others, condition))


def identity_problem(identity: SpiffeId, *, namespace: str, service_account: str) -> str:
    """Why this caller may not have an entry of that namespace and account ("" if it may)."""
    if identity.namespace != namespace:
        return f"identity {identity} is not of namespace {namespace}"
    if service_account and identity.account != service_account:
        return f"identity {identity} is not service account {service_account}"
    return ""


def due(entry: WorkloadEntry, *, controller: str, grace: float, max_age: float) -> int | None:
    """The instant at which an entry that nobody is connected for has to be cleaned up; None if that is not
    our task.

    ``grace`` and ``max_age`` are in seconds; a ``max_age`` of 0 means that connections never end by age.
    """
    annotations = entry.metadata.annotations
    if annotations.get(CONTROLLER) != controller:
        return None
    if (at := _instant(annotations, DISCONNECTED_AT)) is not None:
        return at + int(grace * SECOND)
    at = _instant(annotations, CONNECTED_AT)
    return at + int(STALE * max_age * SECOND) if at is not None and max_age else None


def auto_registered(entry: WorkloadEntry) -> bool:
    return GROUP in entry.metadata.annotations


def _instant(annotations: Mapping[str, str], name: str) -> int | None:
    try:
        return parse_rfc3339(annotations[name])
    except (KeyError, ValueError):
        return None


def _annotated(entry: WorkloadEntry, added: Mapping[str, str], *, without: str) -> WorkloadEntry:
    kept = {name: value for name, value in entry.metadata.annotations.items() if name != without}
    return replace(entry, metadata=replace(entry.metadata, annotations={**kept, **added}))
