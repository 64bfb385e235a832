"""What an Envoy with a snapshot of the control plane's would print at its admin port."""

from typing import Any

from envoy.admin.v3 import config_dump_pb2, config_dump_shared_pb2
from google.protobuf import json_format

from lab.controlplane import type_urls
from lab.controlplane.snapshot import Snapshot


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
