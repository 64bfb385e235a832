"""``vmagent proxy``: the daemon."""

import asyncio
import os

import click


@click.command()
@click.argument("role", default="sidecar", type=click.Choice(["sidecar"]))
def proxy(role: str) -> None:
    """Run the agent until SIGTERM.

    \b
    Reads /var/lib/istio/envoy/{sidecar,cluster}.env, /etc/istio/config/mesh, /etc/certs/root-cert.pem and
    /var/run/secrets/tokens/istio-token; says which of them is missing or wrong, and waits for it.
    """
    os.environ.setdefault("GRPC_DNS_RESOLVER", "native")  # /etc/hosts and nsswitch.conf count, as elsewhere
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its own lines have no scope and repeat what we say
    from vmagent import daemon
    from vmagent.config.resolve import Paths
    from vmagent.runtime.systemd import Systemd

    asyncio.run(daemon.live(Paths(), Systemd.of(os.environ, os.getpid())))
