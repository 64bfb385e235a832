"""Resources that are nothing but names and sizes."""

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.service.discovery.v3 import discovery_pb2

from lab.controlplane import type_urls
from lab.controlplane._pb import nds_pb2

CDS, EDS = type_urls.CLUSTER, type_urls.ENDPOINT


def cluster(name: str, size: int = 0, mark: str = "") -> Cluster:
    return Cluster(name=name, alt_stat_name=mark + "x" * size)


def clusters(*names: str) -> dict[str, Cluster]:
    return {name: cluster(name) for name in names}


def endpoints(name: str, region: str = "") -> ClusterLoadAssignment:
    made = ClusterLoadAssignment(cluster_name=name)
    made.endpoints.add().locality.region = region
    return made


def table(*hosts: str) -> nds_pb2.NameTable:
    made = nds_pb2.NameTable()
    for host in hosts:
        made.table[host].ips.append("10.0.0.1")
    return made


def names(response: discovery_pb2.DeltaDiscoveryResponse) -> list[str]:
    return [each.name for each in response.resources]
