"""``lab fault``: the control plane of a running lab is told to misbehave, and to stop it."""

import click

from lab.hosts.cluster import Cluster
from lab.hosts.lab import Lab


@click.command()
@click.argument("name", required=False)
@click.argument("value", default="on", required=False)
@click.pass_obj
def fault(lab: Lab, name: str | None, value: str) -> None:
    """Tell the control plane to misbehave: all faults, or NAME [VALUE].

    \b
      lab fault                    every fault, what it does, and which are on
      lab fault away               until further notice
      lab fault delay 2s           "off" ends any of them
      lab fault drop               breaks every connection, once
      lab fault clear              ends them all
    """
    cluster = Cluster(lab.host("istiod"))
    match name:
        case None:
            _show(cluster.faults())
        case "clear":
            cluster.clear_faults()
        case "drop":
            cluster.drop_connections()
        case _:
            cluster.set_fault(name, value)


def _show(faults: dict[str, dict[str, object]]) -> None:
    for name, each in faults.items():
        value = str(each["value"]) if each["on"] else "off"
        click.echo(f"{name:20} {'on' if value == 'True' else value:12} {each['help']}")
