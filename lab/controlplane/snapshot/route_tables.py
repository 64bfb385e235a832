"""The route tables of a proxy, by what it is."""

from collections.abc import Iterator

from envoy.config.route.v3.route_pb2 import RouteConfiguration

from lab.controlplane.snapshot.gateway_routes import gateway_routes
from lab.controlplane.snapshot.routes import routes
from lab.controlplane.snapshot.view import View


def route_tables(view: View) -> Iterator[RouteConfiguration]:
    return gateway_routes(view) if view.router else routes(view)
