"""``lab``: hosts to run agents on, and the mesh they join, from a shell.

Owns:      words to calls, and what is printed about hosts. Words about resources and proxies have rooms of
           their own.
Does not:  know how anything is done (lab/hosts, lab/demo).
"""

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import click

from lab.check import check
from lab.compare.command import compare
from lab.faults import fault
from lab.hosts import services
from lab.hosts.errors import LabError
from lab.hosts.host import environment
from lab.hosts.lab import Lab
from lab.hosts.machine import provision
from lab.hosts.machine.host import SystemdHost
from lab.hosts.process import inner_pids
from lab.kubectl.apply import apply, delete
from lab.kubectl.get import get
from lab.proxyconfig.command import COMMANDS
from lab.scenes.play import raise_scene
from lab.scenes.scene import find


class Cli(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except LabError as error:
            click.echo(f"lab: {error}", err=True)
            if error.hint:
                click.echo(f"  hint: {error.hint}", err=True)
            ctx.exit(1)


@click.group(cls=Cli, context_settings={"show_default": True, "max_content_width": 100})
@click.option("--name", default="demo", envvar="LAB_NAME", help="Which lab; several may stand at a time.")
@click.pass_context
def main(ctx: click.Context, name: str) -> None:
    """Hosts on one bridge, made of namespaces or booting a Debian, a control plane in one of them.

    \b
      lab demo                              play the documents' story, step by step
      lab up 09                             raise another one of their stories, and leave it standing
      lab exec client -- curl nginx.jd.com  run something in a host
      lab logs vm -f                        what its agent says
      lab get workloadentries -o yaml       what kubectl would show

    Hosts: istiod, vm, client, docker, outside, egress.
    """
    ctx.obj = Lab(name)


@main.command()
@click.option("--machines", is_flag=True, help="istiod, vm and client boot, and are provisioned.")
@click.option(
    "--package",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="The agent's, for vm and client.  [default: the newest in dist]",
)
@click.argument("scenario", required=False)
@click.pass_obj
def up(lab: Lab, machines: bool, package: Path | None, scenario: str | None) -> None:
    """All hosts and their name servers. Nothing else runs in them yet, unless a SCENARIO is named.

    With SCENARIO (lab up 09, lab up lab/scenarios/09-tls-routing) that story is raised, shown step by step,
    and left standing: docs/scenarios.md.

    With --machines, istiod, vm and client are Debian machines with their own systemd; the scripts of
    lab/provision start the control plane and install the agent's package.
    """
    if scenario is not None:
        if machines:
            raise click.UsageError("a scenario is raised on hosts without a system of their own")
        raise_scene(lab, find(scenario), click.echo)
        click.echo("\nThe lab stands: lab exec HOST -- COMMAND, lab logs HOST, lab down")
        return
    if not machines:
        lab.up()
    else:
        lab = provision.raise_machines(lab.name, package or provision.newest_package())
    _show(lab)
    if machines:
        click.echo("vm and client have the package and no files yet: docs/lab.md, Machines, lets them join")


@main.command()
@click.pass_obj
def down(lab: Lab) -> None:
    """Nothing is left: no process, namespace, mount or file. Twice is once."""
    lab.down()


@main.command()
@click.pass_obj
def status(lab: Lab) -> None:
    """Which hosts are up, and what runs there. Exits with 1 unless all are."""
    _show(lab)
    sys.exit(0 if lab.is_up else 1)


def _show(lab: Lab) -> None:
    for host in lab.hosts:
        if not host.up:
            click.echo(f"{host.name:8} {host.address:14} down")
            continue
        system = f"systemd {host.state()}: " if isinstance(host, SystemdHost) else ""
        found = sorted(inner_pids(host.pid).items())
        commands = [_command(outer) for inner, outer in found if inner != 1]
        told = ", ".join(filter(None, commands)) or "nothing runs"
        click.echo(f"{host.name:8} {host.address:14} {system}{told}")


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


@main.command("exec", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--user", help="As whom, a name that the host knows.")
@click.argument("host")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_obj
def exec_command(lab: Lab, host: str, user: str | None, command: tuple[str, ...]) -> None:
    """Run COMMAND in a host, with this terminal: lab exec vm -- bash"""
    words = command[1:] if command[0] == "--" else command
    line = lab.host(host).enter(words, user=user)
    os.execve(line[0], line, environment(user, {"TERM": os.environ.get("TERM", "dumb")}))


@main.command()
@click.argument("host")
@click.pass_obj
def shell(lab: Lab, host: str) -> None:
    """A login shell in a host, as root."""
    line = lab.host(host).enter(["bash", "--login"], cwd="/root")
    os.execve(line[0], line, environment(None, {"TERM": os.environ.get("TERM", "dumb")}))


@main.command()
@click.option("-f", "follow", is_flag=True, help="Go on until interrupted.")
@click.argument("host")
@click.pass_obj
def logs(lab: Lab, host: str, follow: bool) -> None:
    """What the services of a host wrote."""
    there = lab.host(host)
    line = there.enter(services.log_command(there, follow=follow))
    os.execve(line[0], line, environment(None, None))


@main.command()
@click.option("--keep", is_flag=True, help="Leave the lab standing afterwards.")
@click.option(
    "--istio-filters", is_flag=True, help="The control plane sends Istio's own extensions of Envoy, too."
)
@click.pass_obj
def demo(lab: Lab, keep: bool, istio_filters: bool) -> None:
    """Play the documents' story and check each step. Exits with 1 if one fails."""
    play = cast(Callable[..., int], importlib.import_module("lab.demo").play)
    sys.exit(play(lab, keep=keep, istio_filters=istio_filters))


for command in (get, apply, delete, *COMMANDS, fault, check, compare):
    main.add_command(command)


if __name__ == "__main__":
    main()
