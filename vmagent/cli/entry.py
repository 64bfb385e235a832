"""``vmagent entry configure``: the files for a new VM, made where the mesh can be reached."""

import dataclasses
from pathlib import Path
from typing import Any

import click

from vmagent.config import settings, syntax
from vmagent.config.entry import Request, configure
from vmagent.config.workload import Wishes
from vmagent.errors import Misconfigured
from vmagent.runtime import files

_FILE = click.Path(path_type=Path)


@click.group()
def entry() -> None:
    """Take a new VM into the mesh."""


@entry.command("configure")
@click.option("-f", "--file", "group_file", type=_FILE, required=True, help="WorkloadGroup (YAML).")
@click.option("-o", "--output", type=_FILE, required=True, help="Directory to write to.")
@click.option("--clusterID", "cluster_id", default="", help="Cluster the VM belongs to; else asked for.")
@click.option("--ingressIP", "ingress_ip", default="", help="Address of istiod for the VM's hosts file.")
@click.option("--autoregister", is_flag=True, help="istiod makes the WorkloadEntry when the VM connects.")
@click.option("--capture-dns/--no-capture-dns", default=True, help="The VM answers the names of the mesh.")
@click.option("--internalIP", "internal_ip", default="", help="Address of the VM, if not the usual one.")
@click.option(
    "--externalIP", "external_ip", default="", help="The same, where the VM does not have it itself."
)
@click.option("-r", "--revision", default="", help="Revision of the control plane.")
@click.option("-i", "--istioNamespace", "istio_namespace", default="istio-system", help="Where istiod lives.")
@click.option("--tokenDuration", "token_seconds", default=3600, type=click.IntRange(600), help="Seconds.")
@click.option(
    "--server",
    envvar=settings.KUBE_SERVER.name,
    show_envvar=True,
    default=settings.KUBE_SERVER.default,
    help="Kubernetes API, as kubectl proxy serves it.",
)
@click.option("--mesh-config", "mesh_file", type=_FILE, help="Mesh configuration, instead of asking.")
@click.option("--root-cert", "root_file", type=_FILE, help="Root certificate, instead of asking.")
@click.option("--token", "token_file", type=_FILE, help="File with a token, instead of asking.")
def configure_command(group_file: Path, output: Path, **words: Any) -> None:
    """Write mesh.yaml, cluster.env, root-cert.pem, istio-token and hosts for a VM of a WorkloadGroup.

    Asks the Kubernetes API for what is not given as a file.
    """
    if words["internal_ip"] and words["external_ip"]:
        raise click.UsageError("--internalIP and --externalIP exclude one another")
    for option in ("ingressIP", "internalIP", "externalIP"):
        name = option.removesuffix("IP") + "_ip"
        words[name] = _address(f"--{option}", words[name])
    wishes = Wishes(**{field.name: words.pop(field.name) for field in dataclasses.fields(Wishes)})
    outputs = configure(Request(group_file=group_file, wishes=wishes, **words))
    try:
        output.mkdir(parents=True, exist_ok=True)
        for file in outputs:
            files.write(output / file.name, file.data, mode=file.mode)
            click.echo(f"wrote {output / file.name}{f' ({file.remark})' if file.remark else ''}")
    except OSError as error:
        raise Misconfigured(
            f"{output}: {error.strerror}", hint="give a directory that can be written"
        ) from None


def _address(option: str, text: str) -> str:
    try:
        return syntax.ip(text) if text else ""
    except ValueError as remedy:
        raise click.BadParameter(f"{text!r}: {remedy}", param_hint=option) from None
