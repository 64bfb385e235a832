"""The type URLs of everything that crosses the ADS stream between this control plane and a VM."""

from typing import Final

_PREFIX: Final = "type.googleapis.com/"

CLUSTER: Final = _PREFIX + "envoy.config.cluster.v3.Cluster"
ENDPOINT: Final = _PREFIX + "envoy.config.endpoint.v3.ClusterLoadAssignment"
LISTENER: Final = _PREFIX + "envoy.config.listener.v3.Listener"
ROUTE: Final = _PREFIX + "envoy.config.route.v3.RouteConfiguration"
NAME_TABLE: Final = _PREFIX + "istio.networking.nds.v1.NameTable"

HEALTH: Final = _PREFIX + "istio.v1.HealthInformation"
"""Not a resource: the type under which an agent reports the health of its application."""

PUSH_ORDER: Final = (CLUSTER, ENDPOINT, LISTENER, ROUTE, NAME_TABLE)
"""Make before break: a listener must not name a cluster, nor a route, that Envoy has not got yet."""

WILDCARD: Final = frozenset({CLUSTER, LISTENER, NAME_TABLE})
"""Types of which a subscriber without names gets everything; the others are asked for by name."""
