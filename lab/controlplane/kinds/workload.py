"""WorkloadEntry and WorkloadGroup: the machines that are not pods, and the template they register by.

Does not:  decide whether an entry is an endpoint (registry.py) or who may register (the server's business).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final

from lab.controlplane.kinds.document import Field
from lab.controlplane.kinds.metadata import Metadata, read_metadata, uid_of, write_metadata

NETWORKING_V1: Final = "networking.istio.io/v1"
HEALTH_CHECKS_ENABLED: Final = "proxy.istio.io/health-checks-enabled"
HEALTHY: Final = "Healthy"

Probe = Mapping[str, object]
"""A readinessProbe as the document writes it. This side only hands it on; the agent is who understands it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One of status.conditions. ``status`` is "True", "False" or "Unknown"; times are RFC 3339."""

    type: str
    status: str
    message: str = ""
    reason: str = ""
    last_probe_time: str = ""
    last_transition_time: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """The spec of a WorkloadEntry, the template of a WorkloadGroup, an endpoint of a ServiceEntry."""

    address: str = ""
    """An IP address, a DNS name or ``unix:///path``; empty in a template."""
    ports: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    network: str = ""
    locality: str = ""
    weight: int = 0
    """0: the document does not say, which counts as 1."""
    service_account: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadEntry:
    KIND: ClassVar[str] = "WorkloadEntry"

    metadata: Metadata
    spec: Workload
    conditions: tuple[Condition, ...] = ()
    api_version: str = NETWORKING_V1

    @property
    def health_checked(self) -> bool:
        return self.metadata.annotations.get(HEALTH_CHECKS_ENABLED) == "true"

    @property
    def healthy(self) -> bool:
        """Its Healthy condition is True; one that was never reported is not."""
        return any(condition.type == HEALTHY and condition.status == "True" for condition in self.conditions)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadGroup:
    KIND: ClassVar[str] = "WorkloadGroup"

    metadata: Metadata
    template: Workload
    labels: Mapping[str, str] = field(default_factory=dict)
    """spec.metadata.labels: what an entry of this group is labelled with."""
    annotations: Mapping[str, str] = field(default_factory=dict)
    probe: Probe | None = None
    api_version: str = NETWORKING_V1

    @property
    def uid(self) -> str:
        return uid_of(self.KIND, self.metadata)


def read_workload(at: Field) -> Workload:
    return Workload(
        address=at["address"].text(""),
        ports=at["ports"].ports(),
        labels=at["labels"].labels(),
        network=at["network"].text(""),
        locality=at["locality"].text(""),
        weight=at["weight"].number(0),
        service_account=at["serviceAccount"].text(""),
    )


def read_workload_entry(at: Field) -> WorkloadEntry:
    metadata = read_metadata(at["metadata"])
    spec = read_workload(at["spec"])
    if not spec.address:
        raise at["spec"]["address"].bad("address must be set: write the IP address of the machine")
    at["status"].leave("observedGeneration")
    return WorkloadEntry(
        metadata=metadata,
        spec=spec,
        conditions=tuple(_read_condition(each) for each in at["status"]["conditions"]),
        api_version=at["apiVersion"].text(),
    )


def read_workload_group(at: Field) -> WorkloadGroup:
    spec = at["spec"]
    probe = spec["probe"]
    at.leave("status")
    return WorkloadGroup(
        metadata=read_metadata(at["metadata"]),
        template=read_workload(spec["template"]),
        labels=spec["metadata"]["labels"].labels(),
        annotations=spec["metadata"]["annotations"].labels(),
        probe=None if probe.absent else probe.plain(),
        api_version=at["apiVersion"].text(),
    )


def write_workload_entry(entry: WorkloadEntry) -> dict[str, object]:
    document: dict[str, object] = {
        "apiVersion": entry.api_version,
        "kind": entry.KIND,
        "metadata": write_metadata(entry.metadata),
        "spec": _write_workload(entry.spec),
    }
    if entry.conditions:
        document["status"] = {"conditions": [_write_condition(each) for each in entry.conditions]}
    return document


def write_workload_group(group: WorkloadGroup) -> dict[str, object]:
    metadata = {"annotations": dict(group.annotations), "labels": dict(group.labels)}
    spec: dict[str, object] = {"metadata": {key: value for key, value in metadata.items() if value}}
    if group.probe is not None:
        spec["probe"] = dict(group.probe)
    spec["template"] = _write_workload(group.template)
    return {
        "apiVersion": group.api_version,
        "kind": group.KIND,
        "metadata": write_metadata(group.metadata),
        "spec": {key: value for key, value in spec.items() if value},
    }


def _write_workload(workload: Workload) -> dict[str, object]:
    shown = {
        "address": workload.address,
        "labels": dict(workload.labels),
        "locality": workload.locality,
        "network": workload.network,
        "ports": dict(workload.ports),
        "serviceAccount": workload.service_account,
        "weight": workload.weight,
    }
    return {key: value for key, value in shown.items() if value}


def _read_condition(at: Field) -> Condition:
    at.leave("observedGeneration")
    return Condition(
        type=at["type"].text(),
        status=at["status"].choice(("True", "False", "Unknown")),
        message=at["message"].text(""),
        reason=at["reason"].text(""),
        last_probe_time=at["lastProbeTime"].text(""),
        last_transition_time=at["lastTransitionTime"].text(""),
    )


def _write_condition(condition: Condition) -> dict[str, object]:
    shown = {
        "lastProbeTime": condition.last_probe_time,
        "lastTransitionTime": condition.last_transition_time,
        "message": condition.message,
        "reason": condition.reason,
        "status": condition.status,
        "type": condition.type,
    }
    return {key: value for key, value in shown.items() if value}
