"""Who is asking: an xDS Node, parsed.

Owns:      the meaning of the four-part id and of the metadata istiod reads (spec: security-xds-health 2.12,
           4.2).
Does not:  know what the proxy's certificate says; comparing the two is the server's business.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from envoy.config.core.v3 import base_pb2
from google.protobuf import json_format

ROLES: Final = ("sidecar", "router", "waypoint", "ztunnel")
UNKNOWN: Final = "unknown"

_NAME_LABEL: Final = "service.istio.io/canonical-name"
_REVISION_LABEL: Final = "service.istio.io/canonical-revision"


class BadNode(ValueError):
    """The first message of a stream does not say who is asking: gRPC INVALID_ARGUMENT."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Locality:
    region: str = ""
    zone: str = ""
    sub_zone: str = ""

    def __str__(self) -> str:
        """As WorkloadEntry.spec.locality writes it: shortened where parts are empty."""
        return "/".join((self.region, self.zone, self.sub_zone)).rstrip("/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    role: str
    ips: tuple[str, ...]
    """At least one; the first is *the* address of the machine."""
    name: str
    """Third part of the id: ``<pod or host name>.<namespace>``."""
    dns_domain: str
    namespace: str
    service_account: str = ""
    cluster_id: str = ""
    network: str = ""
    mesh_id: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    locality: Locality = Locality()
    dns_capture: bool = False
    dns_auto_allocate: bool = False
    auto_register_group: str = ""
    workload_entry: str = ""
    istio_version: str = UNKNOWN
    """What its agent says it is."""
    readiness_probe: bool = False
    """PROXY_CONFIG has a readinessProbe: the agent will report health."""

    @property
    def only_ipv6(self) -> bool:
        return all(":" in each for each in self.ips)

    @property
    def canonical_name(self) -> str:
        return self.labels.get(_NAME_LABEL) or UNKNOWN

    @property
    def canonical_revision(self) -> str:
        return self.labels.get(_REVISION_LABEL) or "latest"

    @classmethod
    def parse(cls, node: base_pb2.Node) -> "Proxy":
        """Raises `BadNode`, whose text the peer reads."""
        role, ip, name, domain = _parts(node.id)
        metadata = json_format.MessageToDict(node.metadata)
        config = metadata.get("PROXY_CONFIG")
        return cls(
            role=role,
            ips=_addresses(_text(metadata, "INSTANCE_IPS") or ip, node.id),
            name=name,
            dns_domain=domain,
            namespace=_text(metadata, "NAMESPACE") or domain.partition(".")[0],
            service_account=_text(metadata, "SERVICE_ACCOUNT"),
            cluster_id=_text(metadata, "CLUSTER_ID"),
            network=_text(metadata, "NETWORK"),
            mesh_id=_text(metadata, "MESH_ID"),
            labels=_labels(metadata.get("LABELS")),
            locality=Locality(
                region=node.locality.region, zone=node.locality.zone, sub_zone=node.locality.sub_zone
            ),
            dns_capture=_flag(metadata, "DNS_CAPTURE"),
            dns_auto_allocate=_flag(metadata, "DNS_AUTO_ALLOCATE"),
            auto_register_group=_text(metadata, "AUTO_REGISTER_GROUP"),
            workload_entry=_text(metadata, "WORKLOAD_ENTRY"),
            istio_version=_text(metadata, "ISTIO_VERSION") or UNKNOWN,
            readiness_probe=isinstance(config, dict) and bool(config.get("readinessProbe")),
        )


def _parts(node_id: str) -> tuple[str, str, str, str]:
    if not node_id:
        raise BadNode("missing node information: the first request of a stream must carry a node with an id")
    parts = node_id.split("~")
    if len(parts) != 4:
        raise BadNode(
            f"node id {node_id!r} has {len(parts)} parts, not <role>~<ip>~<name>.<namespace>~<dns domain>"
        )
    role, ip, name, domain = parts
    if role not in ROLES:
        raise BadNode(f"node id {node_id!r}: role {role!r} is not one of {', '.join(ROLES)}")
    return role, ip, name, domain


def _addresses(listed: str, node_id: str) -> tuple[str, ...]:
    try:
        return tuple(str(ipaddress.ip_address(one.strip())) for one in listed.split(","))
    except ValueError as why:
        raise BadNode(
            f"node id {node_id!r}: {listed!r} (INSTANCE_IPS, else the id's second part) is not a "
            "comma-separated list of IP addresses"
        ) from why


def _text(metadata: Mapping[str, object], key: str) -> str:
    value = metadata.get(key, "")
    if not isinstance(value, str):
        raise BadNode(f"node metadata {key} is {value!r}, not a string")
    return value


def _flag(metadata: Mapping[str, object], key: str) -> bool:
    """Istio writes booleans as the strings "true" and "false"; a JSON boolean is taken too."""
    value = metadata.get(key, False)
    if value in (True, False):
        return bool(value)
    if isinstance(value, str) and value.lower() in ("true", "1", "false", "0", ""):
        return value.lower() in ("true", "1")
    raise BadNode(f'node metadata {key} is {value!r}, not "true" or "false"')


def _labels(value: object) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise BadNode(f"node metadata LABELS is {value!r}, not an object of strings")
    return dict(value)
