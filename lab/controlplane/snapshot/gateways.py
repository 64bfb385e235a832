"""Gateways that mean one router, merged: who may share a port, and what each port becomes.

Owns:      the names of route tables of routers, and which of two servers on one port is turned away.
Does not:  make listeners (gateway_listeners.py) or route tables (gateway_routes.py).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from lab.controlplane.kinds.gateway import Gateway, Server
from lab.controlplane.kinds.protocol import Protocol
from lab.controlplane.snapshot.view import View


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """One server of one Gateway, on the port the router really listens on."""

    gateway: str
    """``namespace/name``."""
    namespace: str
    server: Server
    port: int

    @property
    def ends_https(self) -> bool:
        server = self.server
        return (
            server.protocol is Protocol.HTTPS and server.tls is not None and server.tls.mode != "PASSTHROUGH"
        )

    @property
    def route_name(self) -> str:
        """Empty for a server that routes no requests."""
        server, bind = self.server, f".{self.server.bind}" if self.server.bind else ""
        if server.protocol.http:
            return f"http.{self.port}{bind}"
        if self.ends_https:
            name = self.gateway.rpartition("/")[2]
            return f"https.{server.number}.{server.port_name}.{name}.{self.namespace}{bind}"
        return ""

    @property
    def hosts(self) -> tuple[str, ...]:
        """Without the namespaces whose VirtualServices may serve them."""
        return tuple(each.rpartition("/")[2] for each in self.server.hosts)

    def hosts_for(self, namespace: str) -> tuple[str, ...]:
        """Those that VirtualServices of this namespace may serve."""
        found = []
        for each in self.server.hosts:
            own, slash, host = each.rpartition("/")
            own = self.namespace if own == "." else own
            if not slash or own in ("*", namespace):
                found.append(host)
        return tuple(found)


Place = tuple[int, str]
"""Port and address of a listener."""


def opened(view: View) -> dict[Place, list[Opened]]:
    """Plain HTTP shares a port with plain HTTP, TLS with TLS as long as no name is there twice; a plain TCP
    server is alone. Who comes second and does not fit is turned away."""
    places: dict[Place, list[Opened]] = {}
    for gateway in view.gateways:
        for each in _servers(view, gateway):
            there = places.setdefault((each.port, each.server.bind), [])
            if not there or _fits(each, there):
                there.append(each)
    return places


def _servers(view: View, gateway: Gateway) -> Iterator[Opened]:
    about = gateway.metadata
    for server in gateway.servers:
        for port in view.targets.get(server.number) or (server.number,):
            yield Opened(
                gateway=f"{about.namespace}/{about.name}",
                namespace=about.namespace,
                server=server,
                port=port,
            )


def _fits(new: Opened, there: list[Opened]) -> bool:
    if new.server.protocol.http or there[0].server.protocol.http:
        return new.server.protocol.http and there[0].server.protocol.http
    if new.server.tls is None or any(each.server.tls is None for each in there):
        return False
    taken = {host for each in there for host in each.hosts}
    return taken.isdisjoint(new.hosts)
