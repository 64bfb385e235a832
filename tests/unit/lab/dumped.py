"""What an Envoy with a snapshot of the control plane's would print at its admin port, and the snapshot of the
documents' own listings.
"""

from typing import Any

from envoy.admin.v3 import config_dump_pb2, config_dump_shared_pb2
from google.protobuf import json_format

from lab.controlplane import type_urls
from lab.controlplane.mesh import Mesh
from lab.controlplane.registry import World
from lab.controlplane.resources import parse
from lab.controlplane.snapshot import Snapshot, build
from tests.unit.lab.served import client, entry, resource, rule, to, virtual_service

WORKLOADS = [
    resource("WorkloadEntry", name, {"address": address, "labels": {"app": "hello2-deploy", "class": name}})
    for name, address in (("vm", "192.168.0.204"), ("docker", "192.168.0.20"))
]
SELECTOR = {"labels": {"app": "hello2-deploy"}}

LIVE: dict[str, Any] = {
    "cluster_statuses": [
        {
            "name": "outbound|80||xxx.jd.com",
            "host_statuses": [
                {
                    "address": {"socket_address": {"address": "192.168.0.204", "port_value": 80}},
                    "health_status": {"eds_health_status": "HEALTHY", "failed_outlier_check": True},
                },
                {
                    "address": {"socket_address": {"address": "192.168.0.20", "port_value": 80}},
                    "health_status": {"eds_health_status": "UNHEALTHY"},
                },
            ],
        },
        {"name": "sds-grpc", "host_statuses": [{"address": {"pipe": {"path": "./socket"}}}]},
        {"name": "BlackHoleCluster"},
    ]
}


def documents(host: str) -> list[str]:
    """The documents' ServiceEntry, DestinationRule and VirtualService, with one host in all three."""
    weights = [to(host, 0, subset="vm"), to(host, 100, subset="docker")]
    subsets = [{"name": each, "labels": {"class": each}} for each in ("vm", "docker")]
    return [
        entry(host, "80/HTTP", name="nginx-x", location="MESH_INTERNAL", workloadSelector=SELECTOR),
        *WORKLOADS,
        rule(host, name="hello2-dr", subsets=subsets),
        virtual_service(host, name="hello2-vs", http=[{"name": "http-hello-route", "route": weights}]),
    ]


def served(texts: list[str]) -> Snapshot:
    world = World.of(parse("---\n".join(texts), file="mesh.yaml").resources)
    return build(world, client(DNS_CAPTURE="true"), Mesh())


def config_dump(snapshot: Snapshot, *, camel: bool = False) -> dict[str, Any]:
    """``camel``: in the spelling of protobuf's JSON, not in Envoy's."""
    shared = config_dump_shared_pb2
    clusters, listeners = snapshot.of(type_urls.CLUSTER), snapshot.of(type_urls.LISTENER)
    active = [shared.ClustersConfigDump.DynamicCluster(cluster=each) for each in clusters.values()]
    states = [
        shared.ListenersConfigDump.DynamicListener(
            name=name, active_state=shared.ListenersConfigDump.DynamicListenerState(listener=each)
        )
        for name, each in listeners.items()
    ]
    tables = [
        shared.RoutesConfigDump.DynamicRouteConfig(route_config=each)
        for each in snapshot.of(type_urls.ROUTE).values()
    ]
    groups = [
        shared.EndpointsConfigDump.DynamicEndpointConfig(endpoint_config=each)
        for each in snapshot.of(type_urls.ENDPOINT).values()
    ]
    dump = config_dump_pb2.ConfigDump()
    for section in (
        shared.ClustersConfigDump(dynamic_active_clusters=active),
        shared.ListenersConfigDump(dynamic_listeners=states),
        shared.RoutesConfigDump(dynamic_route_configs=tables),
        shared.EndpointsConfigDump(dynamic_endpoint_configs=groups),
    ):
        dump.configs.add().Pack(section)
    made: dict[str, Any] = json_format.MessageToDict(dump, preserving_proto_field_name=not camel)
    return made
