"""What would keep the agent waiting on this machine although its files are sound: token, Envoy, ports.

Owns:      the look, for ``config check``, in the sentences that the daemon itself uses.
Does not:  start or change anything; talk to the control plane.
"""

import errno
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from vmagent import wiring
from vmagent.config.model import Config
from vmagent.dns import sockets
from vmagent.envoy import launch
from vmagent.errors import Misconfigured, Unavailable, VmagentError
from vmagent.identity import store, token
from vmagent.runtime import files, holder
from vmagent.runtime.clock import Clock


def look(config: Config, run_dir: Path, clock: Clock) -> Iterator[VmagentError]:
    yield from _token(config, clock)
    yield from _envoy(config.envoy.binary)
    if not files.locked(run_dir / "lock"):  # else the ports are with the agent, as they should
        yield from _ports(config)


def _token(config: Config, clock: Clock) -> Iterator[VmagentError]:
    """A VM that has joined before is introduced by its certificate: tokens live for an hour. One whose
    certificate is mounted needs none.
    """
    if config.credentials.mounted:
        return
    asked = wiring.identity(config)
    kept = asked.output_dir and (asked.output_dir / store.CHAIN).exists()
    found = token.read(asked.token, wanted=asked.spiffe, now=clock.now())
    if found.problem and not kept:
        kind = Misconfigured if asked.token.exists() else Unavailable
        yield kind(found.problem, hint=found.hint)


def _envoy(binary: Path) -> Iterator[VmagentError]:
    if not binary.exists():
        yield launch.refusal(binary, OSError(errno.ENOENT, ""))
    elif not binary.is_file() or not os.access(binary, os.X_OK):
        yield launch.refusal(binary, OSError(errno.EACCES, ""))


def _ports(config: Config) -> Iterator[VmagentError]:
    asked = {
        config.status.port: "defaultConfig.statusPort",
        config.envoy.admin_port: "defaultConfig.proxyAdminPort",
        config.envoy.health_port: "ENVOY_STATUS_PORT",
        config.envoy.prometheus_port: "ENVOY_PROMETHEUS_PORT",
    }
    for port, key in asked.items():
        if port and not _free(port):
            yield holder.taken(port, key)
    if config.dns.enabled:
        try:
            sockets.listen(wiring.dns(config).listen).close()
        except Misconfigured as taken:
            yield taken


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as why:
            return why.errno != errno.EADDRINUSE
    return True
