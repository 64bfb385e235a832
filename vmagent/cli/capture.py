"""``vmagent capture``: apply, remove, plan, show, verify. Words in, one call each.

``capture hold`` is not here: the long-lived process starts without click.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import click

from vmagent.capture import apply as applying
from vmagent.capture import manifest, privilege, undo, verify
from vmagent.capture.plan import render
from vmagent.capture.rule import FAMILIES
from vmagent.config import load
from vmagent.config.resolve import Paths
from vmagent.runtime.places import RUN
from vmagent.status import document

Settings = Callable[[], tuple[Mapping[str, str], Mapping[str, str]]]
"""The effective settings by name (the environment variables of istio-iptables), and where each came from."""

DRIFTED = 1
"""Exit status of ``verify`` when the rules are not as written."""

_directory = click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=manifest.DIRECTORY,
    show_default=True,
    help="Where the manifest lies.",
)


def command(settings: Settings) -> click.Group:
    @click.group("capture")
    def group() -> None:
        """Send this machine's traffic through Envoy, or take that back.

        \b
        Exit codes: 0 fine, 1 the rules are not as written (verify), 75 try again, 77 refused,
        78 configuration.
        """

    @group.command("apply")
    @_directory
    def apply_command(directory: Path) -> None:
        """Write the rules. Twice is once; changed settings replace the old rules in one step."""
        privilege.check("capture apply")
        values, origins = settings()
        done = applying.apply(values, directory, origins=origins)
        for note in done.notes:
            click.echo(note, err=True)
        if done.tools is not None:
            what = "captured" if done.changed else "already captured, nothing changed"
            click.echo(f"{what} ({done.tools.version})")

    @group.command("plan")
    @_directory
    def plan_command(directory: Path) -> None:
        """Print what apply would write. Changes nothing."""
        values, origins = settings()
        wanted = applying.preview(values, directory, origins=origins)
        if isinstance(wanted, str):
            click.echo(f"# {wanted}")
            return
        for note in wanted.plan.notes:
            click.echo(f"# {note}")
        for family, rules in wanted.plan.families.items():
            click.echo(f"# {family}, for {wanted.tools.path(family)}-restore --noflush\n{render(rules)}")

    group.add_command(_remove)
    group.add_command(_show)
    group.add_command(_verify)
    return group


@click.command("remove")
@_directory
@click.option("--purge", is_flag=True, help="Also the table that keeps connection tracking loaded.")
def _remove(directory: Path, purge: bool) -> None:
    """Take back what was written, whatever the settings say today."""
    privilege.check("capture remove")
    done = undo.remove(directory, purge=purge)
    for note in done.notes:
        click.echo(note, err=True)
    click.echo("taken back" if done.changed else "nothing of ours was there")


@click.command("show")
@_directory
@click.option("--json", "as_json", is_flag=True, help="The manifest, for programs.")
def _show(directory: Path, as_json: bool) -> None:
    """Print our rules as they stand now."""
    known = manifest.load(directory)
    if as_json:
        click.echo(json.dumps(manifest.encode(known) if known else None, indent=1))
    elif known is None:
        click.echo("not captured")
    else:
        missing = ", ".join(family for family in FAMILIES if family not in known.families)
        click.echo(f"# {known.tools.version}; connection tracking held by: {known.hold}")
        click.echo(f"# not captured: {missing}\n" if missing else "", nl=False)
        click.echo(verify.show(known), nl=False)


@click.command("verify")
@_directory
@click.pass_context
def _verify(ctx: click.Context, directory: Path) -> None:
    """Compare the live rules with what was written."""
    verdict = verify.verify(directory)
    if verdict.manifest is None:
        click.echo("not captured")
    for sentence in verdict.drift:
        click.echo(sentence)
    if verdict.drift:
        ctx.exit(DRIFTED)
    if verdict.manifest is not None:
        click.echo("the rules are as written")


def _effective() -> tuple[Mapping[str, str], Mapping[str, str]]:
    """From the files and the environment, in their order of precedence. A router is one whoever says so: the
    settings, or the agent that was started as one.
    """
    inputs = load.capture_here(Paths())
    values = {name: value.text for name, value in inputs.values.items()}
    origins = {name: str(value.origin) for name, value in inputs.values.items()}
    if inputs.custom:
        values["ISTIO_CUSTOM_IP_TABLES"] = "true"
    if inputs.role == document.ROUTER or document.is_router(document.read(RUN) or {}):
        values["VMAGENT_ROLE"] = document.ROUTER
    return values, origins


capture = command(_effective)
