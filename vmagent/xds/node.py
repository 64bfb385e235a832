"""Who speaks on the upstream stream. The same node stands in Envoy's bootstrap; Envoy's own copy is never
sent on.
"""

from collections.abc import Mapping
from typing import Any

from vmagent._pb import wire_pb2 as wire


def build(*, node_id: str, cluster: str, locality: str, metadata: Mapping[str, Any]) -> wire.Node:
    """``locality`` is ``region/zone/subzone``, any tail of it may be missing; ``metadata`` is JSON-shaped."""
    node = wire.Node(id=node_id, cluster=cluster, user_agent_name="envoy")
    parts = locality.split("/") if locality else []
    for field, value in zip(("region", "zone", "sub_zone"), parts, strict=False):
        setattr(node.locality, field, value)
    node.metadata.update(dict(metadata))
    return node
