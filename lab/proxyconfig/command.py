"""The words of ``istioctl proxy-config``: ``lab routes vm --name 80``.

Owns:      options, and the choice between table, JSON and YAML.
Does not:  know what a table says (routes.py, clusters.py, listeners.py, endpoints.py).
"""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import click
import yaml

from lab.hosts.errors import LabError
from lab.hosts.lab import Lab
from lab.kubectl.output import as_json
from lab.proxyconfig import clusters, endpoints, listeners, routes
from lab.proxyconfig.dump import BadDump, Json, as_protobuf_json
from lab.proxyconfig.source import CONFIGURATION, LIVE, dump
from lab.tables import table

_Command = Callable[..., None]

_file = click.option(
    "-f",
    "--file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A dump in a file in place of a HOST.",
)
_host = click.argument("host", required=False)
_port = click.option("--port", type=click.IntRange(1, 65535), default=None)


def _form(*more: str) -> Callable[[_Command], _Command]:
    return click.option(
        "-o", "--output", "form", type=click.Choice(["table", *more, "json", "yaml"]), default="table"
    )


def _read(lab: Lab, host: str | None, file: Path | None, path: str) -> Json:
    if (host is None) == (file is None):
        raise click.UsageError("give either a HOST or --file FILE")
    return dump(lab, host, file, path)


def _tell(
    where: str | None,
    form: str,
    rows: Callable[[], Iterable[Sequence[str]]],
    whole: Callable[[], Any],
    gap: int,
) -> None:
    try:
        if form == "json":
            click.echo(as_json(as_protobuf_json(whole())), nl=False)
        elif form == "yaml":
            click.echo(yaml.safe_dump(as_protobuf_json(whole()), allow_unicode=True), nl=False)
        else:
            for line in table(rows(), gap=gap):
                click.echo(line)
    except BadDump as why:
        raise LabError(f"{where}: {why}", hint="what Envoy's admin port prints at /config_dump") from None


@click.command("routes")
@_host
@_file
@click.option("--name", default="", help="Of a route table: a port, or a port and a host.")
@_form("wide")
@click.pass_obj
def routes_command(lab: Lab, host: str | None, file: Path | None, name: str, form: str) -> None:
    """Which names a proxy's HTTP goes by, and which VirtualService says so."""
    read = _read(lab, host, file, CONFIGURATION)
    _tell(
        str(file or host),
        form,
        lambda: routes.rows(routes.chosen(read, name=name), wide=form == "wide"),
        lambda: routes.chosen(read, name=name),
        routes.GAP,
    )


@click.command("clusters")
@_host
@_file
@click.option("--fqdn", default="", help="Of the service, or a part of it.")
@_port
@click.option("--subset", default="")
@click.option("--direction", type=click.Choice(["", "inbound", "outbound"]), default="")
@_form()
@click.pass_obj
def clusters_command(
    lab: Lab,
    host: str | None,
    file: Path | None,
    fqdn: str,
    port: int | None,
    subset: str,
    direction: str,
    form: str,
) -> None:
    """Whom a proxy knows, and how it finds their endpoints."""
    read = _read(lab, host, file, CONFIGURATION)
    wanted = clusters.Filter(fqdn=fqdn, port=port or 0, subset=subset, direction=direction)
    _tell(
        str(file or host),
        form,
        lambda: clusters.rows(clusters.chosen(read, wanted)),
        lambda: clusters.chosen(read, wanted),
        clusters.GAP,
    )


@click.command("listeners")
@_host
@_file
@click.option("--address", default="")
@_port
@click.option("--type", "kind", type=click.Choice(["", "HTTP", "TCP", "HTTP+TCP"], False), default="")
@_form()
@click.pass_obj
def listeners_command(
    lab: Lab, host: str | None, file: Path | None, address: str, port: int | None, kind: str, form: str
) -> None:
    """What a proxy takes, and where that goes."""
    read = _read(lab, host, file, CONFIGURATION)
    wanted = listeners.Filter(address=address, port=port or 0, kind=kind)
    _tell(
        str(file or host),
        form,
        lambda: listeners.rows(listeners.chosen(read, wanted)),
        lambda: listeners.chosen(read, wanted),
        listeners.GAP,
    )


@click.command("endpoints")
@_host
@_file
@click.option("--address", default="", help="With or without the port; the path of a unix socket.")
@_port
@click.option("--cluster", default="", help="outbound|80||nginx.jd.com")
@click.option("--status", default="", help="healthy, unhealthy, ...")
@_form()
@click.pass_obj
def endpoints_command(
    lab: Lab,
    host: str | None,
    file: Path | None,
    address: str,
    port: int | None,
    cluster: str,
    status: str,
    form: str,
) -> None:
    """Where a proxy's connections can go, and whether it holds that to be well.

    A file may be what Envoy prints at /clusters?format=json, or at /config_dump?include_eds, which has
    localities and no outlier detection.
    """
    read = _read(lab, host, file, LIVE)
    wanted = endpoints.Filter(address=address, port=port or 0, cluster=cluster, status=status)
    _tell(
        str(file or host),
        form,
        lambda: endpoints.rows(read, wanted),
        lambda: endpoints.chosen(read, wanted),
        endpoints.GAP,
    )


COMMANDS = (routes_command, clusters_command, listeners_command, endpoints_command)
