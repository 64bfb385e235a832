"""The servers of a story, and certificates of an authority that is not the mesh's."""

import datetime
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from lab.controlplane.authority import Authority
from lab.hosts import services
from lab.hosts.host import Host
from lab.hosts.services import Service
from lab.scenes.scene import Server

KEY, CHAIN, ROOTS = "/etc/site/key.pem", "/etc/site/chain.pem", "/etc/site/roots.pem"

CLIENT: Final = "client.somedomain"
"""Whom the client's own certificate names."""

CLIENT_KEY, CLIENT_CHAIN = "/etc/certs/client_private_key.pem", "/etc/certs/myclientcert.pem"
CLIENT_ROOTS: Final = "/etc/certs/rootcacerts.pem"
"""The three files that the document's DestinationRule names."""


class Certificates:
    """Of one authority, which outside servers and their clients trust; it lives as long as this object."""

    def __init__(self) -> None:
        with tempfile.TemporaryDirectory() as state:
            self._authority = Authority.open(Path(state), trust_domain="somedomain", now=_now())

    def install_server(self, host: Host, names: tuple[str, ...]) -> None:
        key, chain = self._authority.certificate(names, _now())
        host.write(KEY, key.decode(), mode=0o600)
        host.write(CHAIN, chain.decode())
        host.write(ROOTS, self._authority.root_pem.decode())

    def install_client(self, host: Host) -> None:
        """On a VM the agent's Envoy reads them, which runs as istio-proxy."""
        key, chain = self._authority.certificate((CLIENT,), _now())
        host.write(CLIENT_KEY, key.decode(), mode=0o600, owner="istio-proxy")
        host.write(CLIENT_CHAIN, chain.decode())
        host.write(CLIENT_ROOTS, self._authority.root_pem.decode())


def start_server(host: Host, server: Server, certificates: Certificates, names: tuple[str, ...]) -> Service:
    """Returns when it can be asked. ``names``: for whom one with TLS has a certificate."""
    if server.kind == "socket":
        return _on_socket(host, server.where)
    port = int(server.where)
    if server.kind == "web":
        return services.start_application(host, port)
    certificates.install_server(host, (*names, host.name))
    start: dict[str, Callable[[], Service]] = {
        "tls": lambda: services.start_program(host, "site.py", str(port), KEY, CHAIN, port=port),
        "mutual-tls": lambda: services.start_program(
            host, "site.py", str(port), KEY, CHAIN, ROOTS, port=port
        ),
        "mongod": lambda: services.start_program(
            host, "mongod.py", "serve", str(port), KEY, CHAIN, ROOTS, port=port
        ),
    }
    return start[server.kind]()


def _on_socket(host: Host, path: str) -> Service:
    service = services.start_program(host, "site.py", path)
    waits = 'until curl -s -o /dev/null --unix-socket "$1" http://localhost/; do sleep 0.05; done'
    host.run(["timeout", "10", "bash", "-c", waits, "bash", path])
    return service


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
