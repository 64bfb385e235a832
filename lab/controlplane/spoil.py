"""Good snapshots made bad, on request. Pure.

What is added has a name of its own, so that nothing good is lost with it.
"""

from collections.abc import Iterator
from typing import Final

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3 import base_pb2
from envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain
from envoy.config.listener.v3.listener_pb2 import Listener
from google.protobuf import any_pb2

from lab.controlplane import type_urls
from lab.controlplane.faults import Faults
from lab.controlplane.snapshot import Snapshot
from lab.controlplane.snapshot.packing import pack, struct

NO_CLUSTER: Final = "fault-garbage"
REFUSED_LISTENER: Final = "fault-refused-listener"
PADDING: Final = "fault-padding"

_PIECE: Final = 64 * 1024
"""Bytes of padding in one cluster: Envoy keeps each for its configuration dump."""


def spoiled(snapshot: Snapshot, faults: Faults) -> Snapshot:
    clusters = dict(snapshot.of(type_urls.CLUSTER))
    listeners = dict(snapshot.of(type_urls.LISTENER))
    if faults.garbage == "resource":
        clusters[NO_CLUSTER] = any_pb2.Any(type_url=type_urls.CLUSTER, value=b"\xff" * 16)
    if faults.padding:
        clusters |= dict(_padding(faults.padding))
    if faults.refused_listener:
        listeners[REFUSED_LISTENER] = pack(_refused_listener())
    added = {type_urls.CLUSTER: clusters, type_urls.LISTENER: listeners}
    if all(len(named) == len(snapshot.of(url)) for url, named in added.items()):
        return snapshot
    return Snapshot.of_resources(
        {**snapshot.resources, **added}, snapshot.warnings, snapshot, snapshot.unserved
    )


def _padding(size: int) -> Iterator[tuple[str, any_pb2.Any]]:
    for number in range(-(-size // _PIECE)):
        name = f"{PADDING}-{number}"
        filler = struct({"filler": "x" * min(_PIECE, size - number * _PIECE)})
        yield (
            name,
            pack(
                Cluster(
                    name=name,
                    type=Cluster.STATIC,
                    connect_timeout={"seconds": 1},
                    metadata=base_pb2.Metadata(filter_metadata={PADDING: filler}),
                )
            ),
        )


def _refused_listener() -> Listener:
    """With a filter that no Envoy has."""
    unknown = any_pb2.Any(type_url="type.googleapis.com/lab.NoSuchFilter")
    return Listener(
        name=REFUSED_LISTENER,
        address={"socket_address": {"address": "127.0.0.1", "port_value": 1}},
        bind_to_port={"value": False},
        filter_chains=[FilterChain(filters=[Filter(name="lab.no_such_filter", typed_config=unknown)])],
    )
