"""``lab compare``: one line a scenario, and what differs below it."""

from pathlib import Path
from typing import Final

import click

from lab.compare.hidden import HIDDEN
from lab.compare.recordings import Unreadable, scenarios
from lab.compare.run import Verdict, judge

_SHARED: Final = Path(__file__).resolve().parents[3] / "shared"
"""Beside the clone."""

_MOST_SHOWN: Final = 20
"""Differences of one proxy that are printed unless all are asked for."""


@click.command()
@click.option(
    "--scenarios",
    "resources",
    type=click.Path(path_type=Path),
    default=_SHARED / "scenarios",
    show_default="../shared/scenarios beside the clone",
    help="One YAML file a scenario.",
)
@click.option(
    "--recordings",
    type=click.Path(path_type=Path),
    default=_SHARED / "recordings" / "istiod-1.29.6",
    show_default="../shared/recordings/istiod-1.29.6",
    help="SCENARIO/WHO/*.pb and node-*.json.",
)
@click.option(
    "--all", "every", is_flag=True, help=f"Print every difference, not only the first {_MOST_SHOWN}."
)
@click.option("--hidden", is_flag=True, help="Print what is not compared, and why.")
@click.pass_context
def compare(context: click.Context, resources: Path, recordings: Path, every: bool, hidden: bool) -> None:
    """Serves each scenario to the recorded proxies and compares with what a real istiod sent them.

    Exit status: 0 all equal, 1 something differs, 2 the directories cannot be read.
    """
    if hidden:
        for each in HIDDEN:
            click.echo(f"{each.what}\n    {each.reason}")
        return
    try:
        verdicts = [judge(each) for each in scenarios(resources, recordings)]
    except Unreadable as why:
        click.echo(f"lab compare: {why}", err=True)
        context.exit(2)
    for verdict in verdicts:
        _show(verdict, every)
    context.exit(0 if verdicts and all(each.equal for each in verdicts) else 1)


def _show(verdict: Verdict, every: bool) -> None:
    if verdict.equal:
        click.echo(f"{verdict.scenario}: equal ({', '.join(verdict.differences)})")
        return
    if not verdict.differences:
        click.echo(f"{verdict.scenario}: not recorded")
        return
    counts = (
        f"{who} {len(lines)}" if lines else f"{who} equal" for who, lines in verdict.differences.items()
    )
    click.echo(f"{verdict.scenario}: differs ({', '.join(counts)})")
    for who, lines in verdict.differences.items():
        shown = lines if every else lines[:_MOST_SHOWN]
        for line in shown:
            click.echo(f"    {who}: {line}")
        if len(shown) < len(lines):
            click.echo(f"    {who}: and {len(lines) - len(shown)} more")
