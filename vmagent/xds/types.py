"""Type URLs on the ADS stream, and what the agent does with each."""

PREFIX = "type.googleapis.com/"

CLUSTER = PREFIX + "envoy.config.cluster.v3.Cluster"
ENDPOINT = PREFIX + "envoy.config.endpoint.v3.ClusterLoadAssignment"
LISTENER = PREFIX + "envoy.config.listener.v3.Listener"
ROUTE = PREFIX + "envoy.config.route.v3.RouteConfiguration"
SCOPED_ROUTE = PREFIX + "envoy.config.route.v3.ScopedRouteConfiguration"
VIRTUAL_HOST = PREFIX + "envoy.config.route.v3.VirtualHost"
EXTENSION = PREFIX + "envoy.config.core.v3.TypedExtensionConfig"
NAME_TABLE = PREFIX + "istio.networking.nds.v1.NameTable"
HEALTH = PREFIX + "istio.v1.HealthInformation"

WHOLE = frozenset({CLUSTER, LISTENER})
"""Wildcard types: each state-of-the-world response is the full set, so what it leaves out is deleted."""

OWN = frozenset({NAME_TABLE})
"""Consumed by the agent, never forwarded to Envoy."""

LEADERS = {ENDPOINT: CLUSTER, ROUTE: LISTENER}
"""What waits in Envoy until the other has come: a changed cluster for its endpoints, a listener for its
routes.
"""

NEVER_ENVOYS = OWN | {HEALTH, ""}
"""What Envoy has no say in, whatever it asks."""


def short(type_url: str) -> str:
    """``Cluster`` for logs and status."""
    return type_url.rpartition(".")[2]
