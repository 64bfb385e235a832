"""``vmagent proxy``: the daemon."""

import os

import click

from vmagent.runtime import garbage, openssl


@click.command()
@click.argument("role", required=False, type=click.Choice(["sidecar", "router"]))
def proxy(role: str | None) -> None:
    """Run the agent until SIGTERM.

    \b
    ROLE is sidecar (the default) or router: a gateway. Without it, what VMAGENT_ROLE in agent.env says.

    \b
    Reads /var/lib/istio/envoy/{sidecar,cluster}.env, /etc/istio/config/mesh, /etc/certs/root-cert.pem and
    /var/run/secrets/tokens/istio-token; says which of them is missing or wrong, and waits for it.
    """
    os.environ.setdefault("GRPC_DNS_RESOLVER", "native")  # /etc/hosts and nsswitch.conf count, as elsewhere
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # its own lines have no scope and repeat what we say
    for name in (
        "GLIBC_TUNABLES",
        "MALLOC_ARENA_MAX",
    ):  # ours alone, read already: a probe's program is another
        os.environ.pop(name, None)
    with garbage.not_in_here():
        openssl.leave_out()
        import asyncio

        from vmagent import daemon
        from vmagent.config.resolve import Paths
        from vmagent.runtime.systemd import Systemd

    asyncio.run(daemon.live(Paths(), Systemd.of(os.environ, os.getpid()), role=role or ""))
