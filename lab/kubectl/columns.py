"""What a table says of each kind: the columns of Istio's CRDs, and those kubectl has for Kubernetes'
own kinds.

Owns:      headings, and the cell of one object (as ``kubectl get -o json`` shows it).
Does not:  know the column NAME or NAMESPACE, which every kind has, or how columns are laid out (tables.py).
Surprise:  objects are whatever somebody applied: a part that is missing or of another type is a cell that is
           empty or ``<none>``, never an error.
"""

import datetime
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from lab.kubectl.age import age

Json = Any
Cell = Callable[[Json], str]

NONE: Final = "<none>"
_ENDPOINTS_SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class Column:
    heading: str
    cell: Cell
    wide: bool = False
    """Only with ``-o wide``."""


def columns(kind: str, *, wide: bool, now: datetime.datetime) -> tuple[Column, ...]:
    """Those behind the name. ``now`` is what ages are counted from."""
    old = Column("AGE", lambda item: age(at(item, "metadata", "creationTimestamp"), now))
    found = _COLUMNS.get(kind, ("AGE",))
    shown = (old if each == "AGE" else each for each in found)
    return tuple(each for each in shown if isinstance(each, Column) and (wide or not each.wide))


def at(value: Json, *path: str | int) -> Json:
    """What lies there; None where nothing does."""
    for step in path:
        if isinstance(step, int):
            value = value[step] if isinstance(value, list) and len(value) > step else None
        else:
            value = value.get(step) if isinstance(value, Mapping) else None
    return value


def items(value: Json, *path: str | int) -> list[Json]:
    found = at(value, *path)
    return found if isinstance(found, list) else []


def written(*path: str) -> Cell:
    """A column of a CRD: text as it is, anything else as JSON without spaces, nothing for nothing."""

    def cell(item: Json) -> str:
        found = at(item, *path)
        if found is None or isinstance(found, str):
            return found or ""
        return json.dumps(found, separators=(",", ":"), ensure_ascii=False)

    return cell


def _or_none(text: str) -> str:
    return text or NONE


def _pod_ready(pod: Json) -> str:
    ready = sum(at(each, "ready") is True for each in items(pod, "status", "containerStatuses"))
    return f"{ready}/{len(items(pod, 'spec', 'containers'))}"


def _restarts(pod: Json) -> str:
    counts = (at(each, "restartCount") for each in items(pod, "status", "containerStatuses"))
    return str(sum(each for each in counts if isinstance(each, int)))


def _pod_status(pod: Json) -> str:
    if at(pod, "metadata", "deletionTimestamp"):
        return "Terminating"
    return str(at(pod, "status", "reason") or at(pod, "status", "phase") or "Unknown")


def _cluster_ip(service: Json) -> str:
    return str(at(service, "spec", "clusterIP") or NONE)


def _external_ip(service: Json) -> str:
    spec = at(service, "spec")
    if at(spec, "type") == "ExternalName":
        return str(at(spec, "externalName") or NONE)
    given = [str(each) for each in items(spec, "externalIPs")]
    balanced = [
        str(at(each, "ip") or at(each, "hostname"))
        for each in items(service, "status", "loadBalancer", "ingress")
    ]
    if at(spec, "type") == "LoadBalancer" and not (given or balanced):
        return "<pending>"
    return _or_none(",".join([*balanced, *given]))


def _service_ports(service: Json) -> str:
    def told(port: Json) -> str:
        node = f":{at(port, 'nodePort')}" if at(port, "nodePort") else ""
        return f"{at(port, 'port')}{node}/{at(port, 'protocol') or 'TCP'}"

    return _or_none(",".join(told(each) for each in items(service, "spec", "ports")))


def _labels(*path: str) -> Cell:
    def cell(item: Json) -> str:
        found = at(item, *path)
        pairs = sorted(found.items(), key=str) if isinstance(found, Mapping) else ()
        return _or_none(",".join(f"{key}={value}" for key, value in pairs))

    return cell


def _ready_addresses(endpoints: Json) -> Iterator[str]:
    for subset in items(endpoints, "subsets"):
        for address in items(subset, "addresses"):
            ports = items(subset, "ports")
            yield from (f"{at(address, 'ip')}:{at(port, 'port')}" for port in ports)
            if not ports:
                yield str(at(address, "ip"))


def _first(found: list[str]) -> str:
    more = len(found) - _ENDPOINTS_SHOWN
    shown = ",".join(found[:_ENDPOINTS_SHOWN])
    return _or_none(f"{shown} + {more} more..." if more > 0 else shown)


def _slice_addresses(slice_: Json) -> list[str]:
    return [str(each) for one in items(slice_, "endpoints") for each in items(one, "addresses")]


def _replicas(field: str) -> Cell:
    return lambda deployment: str(at(deployment, "status", field) or 0)


def _deployment_ready(deployment: Json) -> str:
    wanted = at(deployment, "spec", "replicas")
    return f"{at(deployment, 'status', 'readyReplicas') or 0}/{1 if wanted is None else wanted}"


def _size(*path: str) -> Cell:
    def cell(item: Json) -> str:
        found = at(item, *path)
        return str(len(found)) if isinstance(found, list | Mapping) else "0"

    return cell


_COLUMNS: Final[Mapping[str, tuple[Column | str, ...]]] = {
    "ServiceEntry": (
        Column("HOSTS", written("spec", "hosts")),
        Column("LOCATION", written("spec", "location")),
        Column("RESOLUTION", written("spec", "resolution")),
        "AGE",
    ),
    "WorkloadEntry": ("AGE", Column("ADDRESS", written("spec", "address"))),
    "VirtualService": (
        Column("GATEWAYS", written("spec", "gateways")),
        Column("HOSTS", written("spec", "hosts")),
        "AGE",
    ),
    "DestinationRule": (Column("HOST", written("spec", "host")), "AGE"),
    "PeerAuthentication": (Column("MODE", written("spec", "mtls", "mode")), "AGE"),
    "Namespace": (Column("STATUS", lambda item: str(at(item, "status", "phase") or "Active")), "AGE"),
    "ServiceAccount": (Column("SECRETS", _size("secrets")), "AGE"),
    "ConfigMap": (Column("DATA", _size("data")), "AGE"),
    "Pod": (
        Column("READY", _pod_ready),
        Column("STATUS", _pod_status),
        Column("RESTARTS", _restarts),
        "AGE",
        Column("IP", lambda item: _or_none(str(at(item, "status", "podIP") or "")), wide=True),
        Column("NODE", lambda item: _or_none(str(at(item, "spec", "nodeName") or "")), wide=True),
    ),
    "Service": (
        Column("TYPE", lambda item: str(at(item, "spec", "type") or "ClusterIP")),
        Column("CLUSTER-IP", _cluster_ip),
        Column("EXTERNAL-IP", _external_ip),
        Column("PORT(S)", _service_ports),
        "AGE",
        Column("SELECTOR", _labels("spec", "selector"), wide=True),
    ),
    "Endpoints": (Column("ENDPOINTS", lambda item: _first(list(_ready_addresses(item)))), "AGE"),
    "EndpointSlice": (
        Column("ADDRESSTYPE", written("addressType")),
        Column(
            "PORTS", lambda item: _or_none(",".join(str(at(each, "port")) for each in items(item, "ports")))
        ),
        Column("ENDPOINTS", lambda item: _first(_slice_addresses(item))),
        "AGE",
    ),
    "Deployment": (
        Column("READY", _deployment_ready),
        Column("UP-TO-DATE", _replicas("updatedReplicas")),
        Column("AVAILABLE", _replicas("availableReplicas")),
        "AGE",
        Column("SELECTOR", _labels("spec", "selector", "matchLabels"), wide=True),
    ),
}
"""A kind that is not here (WorkloadGroup, Gateway) has its age and nothing else, as its CRD says."""
