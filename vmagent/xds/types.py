"""Type URLs on the ADS stream, and what the agent does with each."""

_PREFIX = "type.googleapis.com/"

CLUSTER = _PREFIX + "envoy.config.cluster.v3.Cluster"
ENDPOINT = _PREFIX + "envoy.config.endpoint.v3.ClusterLoadAssignment"
LISTENER = _PREFIX + "envoy.config.listener.v3.Listener"
ROUTE = _PREFIX + "envoy.config.route.v3.RouteConfiguration"
SCOPED_ROUTE = _PREFIX + "envoy.config.route.v3.ScopedRouteConfiguration"
VIRTUAL_HOST = _PREFIX + "envoy.config.route.v3.VirtualHost"
EXTENSION = _PREFIX + "envoy.config.core.v3.TypedExtensionConfig"
NAME_TABLE = _PREFIX + "istio.networking.nds.v1.NameTable"
HEALTH = _PREFIX + "istio.v1.HealthInformation"

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
