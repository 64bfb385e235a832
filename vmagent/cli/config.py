"""``vmagent config``: is the configuration sound, what is it, and who said so? Changes nothing."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from vmagent.config import explain as explaining
from vmagent.config import load
from vmagent.config.problem import misconfigured
from vmagent.config.resolve import Paths
from vmagent.runtime.clock import SystemClock
from vmagent.runtime.places import RUN
from vmagent.runtime.plain import plain

F = TypeVar("F", bound=Callable[..., Any])

_DEFAULT = Paths()


def _paths(command: F) -> F:
    """The options that name other files."""
    for name, default in (
        ("base", _DEFAULT.base),
        ("mesh-config", _DEFAULT.mesh),
        ("agent-env", _DEFAULT.agent_env),
        ("sidecar-env", _DEFAULT.sidecar_env),
        ("cluster-env", _DEFAULT.cluster_env),
    ):
        what = "Where relative paths start." if name == "base" else "File to read."
        command = click.option(f"--{name}", type=click.Path(path_type=Path), default=default, help=what)(
            command
        )
    return command


def _loaded(
    cluster_env: Path, sidecar_env: Path, agent_env: Path, mesh_config: Path, base: Path
) -> load.Loaded:
    return load.here(
        Paths(
            cluster_env=cluster_env, sidecar_env=sidecar_env, agent_env=agent_env, mesh=mesh_config, base=base
        )
    )


@click.group()
def config() -> None:
    """Is the configuration sound, what is it, and who said so? Changes nothing."""


@config.command()
@click.option("--strict", is_flag=True, help="A key that nobody knows is an error.")
@_paths
def check(strict: bool, **paths: Path) -> None:
    """Look for everything that is wrong: the files; on the machine itself also the token, Envoy and the
    ports.

    The latter are left out when --base names another place than the root directory.

    \b
    Exit codes: 0 sound, 75 a file is still missing, 78 something to edit.
    """
    loaded = _loaded(**paths)
    if strict and loaded.unknown:
        raise misconfigured(loaded.unknown)
    for problem in loaded.unknown:
        click.echo(f"warning: {problem}")
    for note in loaded.notes:
        click.echo(f"note: {note}")
    if paths["base"] == _DEFAULT.base:
        _look_around(loaded)
    who, peers = loaded.config.workload, loaded.config.control_plane
    click.echo(
        f"sound: {who.name} {who.address} as {who.namespace}/{who.service_account} in {who.trust_domain}, "
        f"control plane {peers.xds.address}"
    )


def _look_around(loaded: load.Loaded) -> None:
    from vmagent import preflight  # with what the parts of the daemon import: not for every question

    found = sorted(preflight.look(loaded.config, RUN, SystemClock()), key=lambda why: why.exit_code)
    for why in found[:-1]:
        click.echo(plain(f"vmagent: {why}; {why.hint}"), err=True)
    if found:
        raise found[-1]


@config.command()
@click.option("--json", "as_json", is_flag=True, help="Every resolved value, for scripts.")
@_paths
def show(as_json: bool, **paths: Path) -> None:
    """What somebody set and where; with --json every value that counts. Secrets are hidden."""
    loaded = _loaded(**paths)
    if as_json:
        click.echo(json.dumps(explaining.document(loaded.config), indent=2, ensure_ascii=False))
        return
    for line in explaining.lines(loaded.config):
        click.echo(f"{line.key}={line.value}  # {line.origin}")


@config.command()
@click.argument("key")
@_paths
def explain(key: str, **paths: Path) -> None:
    """One setting: its value, who said so, what that overrode, and what it means.

    KEY is an environment variable (ISTIO_META_DNS_CAPTURE) or a ProxyConfig field (drainDuration).
    """
    click.echo(explaining.explain(_loaded(**paths).config, key))
