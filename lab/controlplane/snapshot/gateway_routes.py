"""Route tables of a router: hosts of VirtualServices that are bound to its Gateways."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from envoy.config.route.v3.route_components_pb2 import Route, VirtualHost

from lab.controlplane.hosts import common, is_wildcard
from lab.controlplane.kinds.virtual_service import VirtualService
from lab.controlplane.snapshot import names
from lab.controlplane.snapshot.gateways import Opened, opened
from lab.controlplane.snapshot.http_routes import Asked, governed
from lab.controlplane.snapshot.route_match import takes_every_request
from lab.controlplane.snapshot.routes import Hosted, Table, table
from lab.controlplane.snapshot.view import View
from lab.controlplane.snapshot.virtual_services import for_gateway


@dataclass(slots=True, kw_only=True)
class _Host:
    """One host while Gateways and VirtualServices add to it. ``origins`` says whose routes they are."""

    port: int
    only_tls: bool = False
    origins: list[tuple[str, str, str]] = field(default_factory=list)
    routes: list[Route] = field(default_factory=list)


def gateway_routes(view: View) -> Iterator[Table]:
    by_name: dict[str, list[Opened]] = {}
    for servers in opened(view).values():
        for each in servers:
            if each.route_name:
                by_name.setdefault(each.route_name, []).append(each)
    for name, servers in by_name.items():
        hosts = _hosts(view, servers)
        made = sorted(_virtual_hosts(hosts, servers[0].server.number), key=lambda each: each.name)
        yield table(name, map(Hosted.of, made))


def _hosts(view: View, servers: list[Opened]) -> dict[str, _Host]:
    hosts: dict[str, _Host] = {}
    made: dict[tuple[str, str, str], list[Route]] = {}
    for server in servers:
        redirected = server.server.tls is not None and server.server.tls.redirect
        for service in for_gateway(view.virtual_services, server.gateway):
            about = service.metadata
            origin = (server.gateway, about.namespace, about.name)
            if origin not in made:
                made[origin] = _routes(view, server, service)
            if not made[origin]:
                continue
            for host in common(server.hosts_for(about.namespace), service.hosts):
                entry = hosts.setdefault(host.lower(), _Host(port=server.server.number))
                entry.origins.append(origin)
                entry.routes += made[origin]
                entry.only_tls |= redirected
        for host in server.hosts if redirected else ():
            hosts.setdefault(host.lower(), _Host(port=server.server.number)).only_tls = True
    return hosts


def _routes(view: View, server: Opened, service: VirtualService) -> list[Route]:
    asked = Asked(
        view=view, gateway=server.gateway, port=server.server.number, tls=server.server.tls is not None
    )
    return governed(asked, service)


def _virtual_hosts(hosts: dict[str, _Host], port: int) -> Iterator[VirtualHost]:
    """Hosts with the same routes of the same VirtualServices are one; without any, every request gets a
    404."""
    if not hosts:
        yield VirtualHost(name=names.virtual_host("blackhole", port), domains=["*"])
    found: dict[tuple[bool, tuple[tuple[str, str, str], ...]], VirtualHost] = {}
    for host in sorted(hosts, key=lambda each: (is_wildcard(each), -len(each), each)):
        entry = hosts[host]
        key = (entry.only_tls, tuple(entry.origins))
        if key in found:
            found[key].domains.append(host)
            continue
        found[key] = VirtualHost(
            name=names.virtual_host(host, entry.port),
            domains=[host],
            # A route that takes every request comes last, whoever wrote it.
            routes=sorted(entry.routes, key=lambda each: takes_every_request(each.match)),
            include_request_attempt_count=True,
            require_tls=VirtualHost.ALL if entry.only_tls else VirtualHost.NONE,
        )
    yield from found.values()
