"""The lab's control plane, with what a real istiod sent in place of its own snapshot. Runs in host istiod.

    RECORDINGS=DIRECTORY python -m tests.netns.recordings.istiod FLAGS...

Certificates, tokens and registration are the lab's own. Which recording is played, a ConfigMap ``recording``
in namespace ``default`` says: its key ``scenario`` names the folder, ``client`` whose part of it the client
gets. Without one everything is as usual. ``moved`` maps addresses of endpoints to where they are in this lab,
as JSON; all else is served byte for byte.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import any_pb2

from lab.controlplane import main, server, type_urls
from lab.controlplane.kinds.kubernetes import ConfigMap
from lab.controlplane.proxy import Proxy
from lab.controlplane.snapshot import Snapshot
from lab.controlplane.snapshot.packing import pack

VM = "192.168.0.204"
VM_ALWAYS = "01-vm-joins-the-mesh"
"""What the VM gets where only a client was recorded."""

FILES = {
    type_urls.CLUSTER: "cds",
    type_urls.ENDPOINT: "eds",
    type_urls.LISTENER: "lds",
    type_urls.ROUTE: "rds",
    type_urls.NAME_TABLE: "nds",
}


class Recorded(server.ControlPlane):
    def snapshot(self, proxy: Proxy) -> Snapshot:
        chosen = self.store.world.get(ConfigMap, "default", "recording")
        if chosen is None:
            return super().snapshot(proxy)
        scenario, recordings = chosen.data["scenario"], Path(os.environ["RECORDINGS"])
        folder = recordings / scenario / chosen.data.get("client", "client")
        if VM in proxy.ips:
            folder = recordings / scenario / "vm"
            folder = folder if folder.is_dir() else recordings / VM_ALWAYS / "vm"
        moved: dict[str, str] = json.loads(chosen.data.get("moved", "{}"))
        return Snapshot.of_resources(
            {url: played(folder / f"{file}.pb", moved) for url, file in FILES.items()}
        )


def played(path: Path, moved: Mapping[str, str]) -> dict[str, any_pb2.Any]:
    if not path.is_file():
        return {}
    response = discovery_pb2.DiscoveryResponse.FromString(path.read_bytes())
    return dict(_named(each, moved) for each in response.resources)


def _named(resource: any_pb2.Any, moved: Mapping[str, str]) -> tuple[str, any_pb2.Any]:
    if resource.type_url == type_urls.NAME_TABLE:
        return "", resource
    if resource.type_url == type_urls.ENDPOINT:
        assignment = ClusterLoadAssignment.FromString(resource.value)
        return assignment.cluster_name, pack(assignment) if _move(assignment, moved) else resource
    if resource.type_url == type_urls.CLUSTER:
        cluster = Cluster.FromString(resource.value)
        return cluster.name, pack(cluster) if _move(cluster.load_assignment, moved) else resource
    named = Cluster.FromString(resource.value)  # the first field of every type is its name
    return named.name, resource


def _move(assignment: ClusterLoadAssignment, moved: Mapping[str, str]) -> bool:
    """``ADDRESS`` or ``ADDRESS:PORT`` to the same; whether anything was moved."""
    changed = False
    for locality in assignment.endpoints:
        for each in locality.lb_endpoints:
            socket = each.endpoint.address.socket_address
            target = moved.get(socket.address)
            if target is not None:
                address, _, port = target.partition(":")
                socket.address, socket.port_value = address, int(port or socket.port_value)
                changed = True
    return changed


if __name__ == "__main__":
    server.ControlPlane = Recorded  # type: ignore[misc]
    main.main()
