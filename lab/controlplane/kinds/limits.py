"""What a document asks for in a field that is read, and that this control plane does not do.

Owns:      the line for each. Kinds and fields that nobody reads at all are told without this (resources.py).
"""

import ipaddress
from collections.abc import Iterator

from lab.controlplane.kinds.destination_rule import DestinationRule
from lab.controlplane.kinds.gateway import Gateway
from lab.controlplane.kinds.kubernetes import ConfigMap
from lab.controlplane.kinds.kubernetes_service import KubernetesService
from lab.controlplane.kinds.service_entry import ServiceEntry
from lab.controlplane.kinds.workload import Workload, WorkloadEntry, WorkloadGroup

_MESHS_OWN = "builtin://"
"""In place of a Secret's name: the certificate of the mesh."""
_NO_NETWORKS = ("", "networks: {}", "{}")


def limits(resource: object) -> Iterator[str]:
    """Each begins with the field."""
    match resource:
        case KubernetesService(external_name=name) if name:
            yield f"spec.externalName is {name!r}: nothing is made of an alias here"
        case KubernetesService(addresses=addresses) if len({_family(each) for each in addresses}) > 1:
            yield "spec.clusterIPs are of two families: a proxy is told that of its own alone"
        case WorkloadEntry(spec=spec):
            yield from _network("spec.network", spec)
        case WorkloadGroup(template=template):
            yield from _network("spec.template.network", template)
        case Gateway(servers=servers):
            for index, server in enumerate(servers):
                for name in server.tls.credentials if server.tls else ():
                    yield from _secret(f"spec.servers[{index}].tls.credentialName", name)
        case DestinationRule():
            for name in _credentials(resource):
                yield from _secret("tls.credentialName", name)
        case ServiceEntry(endpoints=endpoints):
            for index, each in enumerate(endpoints):
                yield from _network(f"spec.endpoints[{index}].network", each)
        case ConfigMap(data=data) if data.get("meshNetworks", "").strip() not in _NO_NETWORKS:
            yield "data.meshNetworks is not served by this control plane: there is one network here"


def _network(field: str, workload: Workload) -> Iterator[str]:
    if workload.network:
        yield f"{field} is {workload.network!r}: there is one network here, every address is told"


def _credentials(rule: DestinationRule) -> Iterator[str]:
    for policy in (rule.policy, *(each.policy for each in rule.subsets)):
        for each in (policy, *policy.ports.values()) if policy else ():
            if each.tls and each.tls.credential:
                yield each.tls.credential


def _secret(field: str, name: str) -> Iterator[str]:
    if not name.startswith(_MESHS_OWN):
        yield f"{field} is {name!r}: proxies ask for the Secret, and nobody here has it: name files of theirs"


def _family(address: str) -> int:
    return ipaddress.ip_network(address, strict=False).version
