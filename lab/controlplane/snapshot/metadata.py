"""What metrics and ``istioctl`` read: from which documents a piece of configuration comes."""

from envoy.config.core.v3 import base_pb2

from lab.controlplane.kinds.metadata import Metadata
from lab.controlplane.snapshot import names
from lab.controlplane.snapshot.packing import struct


def istio(said: dict[str, object]) -> base_pb2.Metadata:
    return base_pb2.Metadata(filter_metadata={"istio": struct(said)})


def configured_by(kind: str, about: Metadata) -> base_pb2.Metadata:
    return istio({"config": names.configuration(kind, about.namespace, about.name)})
