"""The route tables of a proxy, by what it is."""

from collections.abc import Iterator

from lab.controlplane.snapshot.gateway_routes import gateway_routes
from lab.controlplane.snapshot.routes import Table, routes
from lab.controlplane.snapshot.view import View


def route_tables(view: View) -> Iterator[Table]:
    return gateway_routes(view) if view.router else routes(view)
