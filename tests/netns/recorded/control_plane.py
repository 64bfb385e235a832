"""``python -m tests.netns.recorded.control_plane DIRECTORY RESOURCES STATE``: tells everybody what a real
istiod told one proxy.

It is the lab's own (TLS, identities, certificates), with a recording in place of its snapshots.
"""

import asyncio
import signal
import sys
from pathlib import Path

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import any_pb2

from lab.controlplane import type_urls
from lab.controlplane.server import running
from lab.controlplane.settings import Settings
from lab.controlplane.snapshot import Snapshot

TYPES = {
    "cds.pb": (type_urls.CLUSTER, Cluster, "name"),
    "eds.pb": (type_urls.ENDPOINT, ClusterLoadAssignment, "cluster_name"),
    "lds.pb": (type_urls.LISTENER, Listener, "name"),
    "rds.pb": (type_urls.ROUTE, RouteConfiguration, "name"),
}


def snapshot(directory: Path) -> Snapshot:
    """Byte for byte."""
    resources = {}
    for file, (url, kind, key) in TYPES.items():
        found = _resources(directory / file)
        resources[url] = {getattr(kind.FromString(each.value), key): each for each in found}
    resources[type_urls.NAME_TABLE] = dict(zip([""], _resources(directory / "nds.pb"), strict=False))
    return Snapshot.of_resources(resources)


def _resources(path: Path) -> list[any_pb2.Any]:
    """None where nobody asked for that type."""
    if not path.exists():
        return []
    return [*discovery_pb2.DiscoveryResponse.FromString(path.read_bytes()).resources]


async def serve(directory: Path, resources: Path, state: Path) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with running(Settings(resources=resources, state=state)) as control_plane:
        control_plane.ads.build = lambda _: snapshot(directory)
        await stop.wait()


if __name__ == "__main__":
    asyncio.run(serve(*map(Path, sys.argv[1:])))
