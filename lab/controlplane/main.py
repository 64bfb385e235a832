"""``python -m lab.controlplane``: flags and istiod's variables to settings, then one control plane until
SIGTERM.

Owns:      the only door to the environment, signals, standard output and the exit status of this program.
"""

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from lab.controlplane.kinds.document import BadDocument
from lab.controlplane.mesh import Allocation
from lab.controlplane.server import running
from lab.controlplane.settings import BadSetting, Endpoint, Settings, with_environment
from lab.controlplane.timestamps import parse_duration

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}


def _parsed(parse: Callable[[str], Any]) -> Callable[[click.Context, click.Parameter, str | None], Any]:
    def callback(_context: click.Context, _parameter: click.Parameter, text: str | None) -> Any:
        try:
            return None if text is None else parse(text)
        except ValueError as why:
            raise click.BadParameter(str(why)) from why

    return callback


@click.command(context_settings={"max_content_width": 110})
@click.option(
    "--resources",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory of YAML files, read live.",
)
@click.option(
    "--state",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory for keys and for entries made here.",
)
@click.option(
    "--listen",
    callback=_parsed(Endpoint.parse),
    metavar="HOST:PORT",
    help="ADS and CA over TLS.  [default: 0.0.0.0:15012]",
)
@click.option(
    "--api",
    callback=_parsed(Endpoint.parse),
    metavar="HOST:PORT",
    help="Kubernetes-shaped API, plain HTTP.  [default: 127.0.0.1:8001]",
)
@click.option(
    "--monitoring",
    callback=_parsed(Endpoint.parse),
    metavar="HOST:PORT",
    help="Metrics and /debug/syncz, plain HTTP.  [default: 0.0.0.0:15014]",
)
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="NAME",
    help="Another host name or address for the serving certificate. Repeatable.",
)
@click.option(
    "--autoregistration/--no-autoregistration",
    default=None,
    help="PILOT_ENABLE_WORKLOAD_ENTRY_AUTOREGISTRATION.  [default: on]",
)
@click.option(
    "--healthchecks/--no-healthchecks",
    default=None,
    help="PILOT_ENABLE_WORKLOAD_ENTRY_HEALTHCHECKS.  [default: on]",
)
@click.option(
    "--grace-period",
    callback=_parsed(parse_duration),
    metavar="DURATION",
    help="PILOT_WORKLOAD_ENTRY_GRACE_PERIOD.  [default: 10s]",
)
@click.option(
    "--default-cert-ttl",
    "default_certificate_ttl",
    callback=_parsed(parse_duration),
    metavar="DURATION",
    help="DEFAULT_WORKLOAD_CERT_TTL.  [default: 24h]",
)
@click.option(
    "--max-cert-ttl",
    "max_certificate_ttl",
    callback=_parsed(parse_duration),
    metavar="DURATION",
    help="MAX_WORKLOAD_CERT_TTL.  [default: 2160h]",
)
@click.option(
    "--keepalive-interval",
    callback=_parsed(parse_duration),
    metavar="DURATION",
    help="Silence after which a client is pinged.  [default: 30s]",
)
@click.option(
    "--keepalive-timeout",
    callback=_parsed(parse_duration),
    metavar="DURATION",
    help="Wait for that answer until it counts as gone.  [default: 10s]",
)
@click.option(
    "--max-connection-age",
    callback=_parsed(parse_duration),
    metavar="DURATION",
    help="Then a stream is told to go; 0: never.  [default: 30m]",
)
@click.option(
    "--allocation",
    type=click.Choice([each.value for each in Allocation]),
    callback=_parsed(Allocation),
    help="How 240.240 addresses are given out.  [default: next free]",
)
@click.option(
    "--resource-versions/--no-resource-versions",
    default=None,
    help="On delta, so that a client that reconnects gets only news; istiod has none.  [default: on]",
)
@click.option(
    "--istio-filters/--no-istio-filters",
    default=None,
    help="Istio's own extensions of Envoy in clusters and listeners, as istiod has them.  [default: off]",
)
@click.option("--trust-domain", help="[default: cluster.local]")
@click.option("--cluster-id", help="[default: Kubernetes]")
@click.option("--log-level", type=click.Choice(list(_LEVELS)), default="info", show_default=True)
def main(log_level: str, **flags: Any) -> None:
    """A small istiod: xDS and certificates for sidecars, registration of machines, resources from YAML files.

    Flags win over istiod's own environment variables, which are named below.
    """
    _configure_logs(log_level)
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        settings = Settings(resources=given.pop("resources"), state=given.pop("state"))
        settings = replace(with_environment(settings, os.environ), **given)
    except BadSetting as why:
        click.echo(f"controlplane: {why}", err=True)
        sys.exit(os.EX_CONFIG)
    try:
        asyncio.run(_serve(settings))
    except BadDocument as why:
        click.echo(
            f"controlplane: the state directory holds something else than it was given: {why}", err=True
        )
        sys.exit(os.EX_CONFIG)
    except OSError as why:
        ports = f"{settings.listen}, {settings.api} and {settings.monitoring}"
        click.echo(f"controlplane: cannot serve on {ports}: {why}", err=True)
        sys.exit(os.EX_UNAVAILABLE)


async def _serve(settings: Settings) -> None:
    """Until SIGTERM or SIGINT, or until a task of the control plane crashes, which ``stop`` then raises."""
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked.set)
    async with running(settings) as control_plane:
        async with asyncio.TaskGroup() as group:
            waits = [group.create_task(event.wait()) for event in (asked, control_plane.crashed)]
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()


class _Formatter(logging.Formatter):
    """Time, level, scope, message, behind a tab each, as istiod logs."""

    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        level = record.levelname.lower().replace("warning", "warn")
        line = f"{stamp}.{int(record.created % 1 * 1e6):06d}Z\t{level}\t{record.name}\t{record.getMessage()}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def _configure_logs(level: str) -> None:
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_Formatter())
    logging.basicConfig(level=_LEVELS[level], handlers=[handler], force=True)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
