"""``vmagent status``: what the agent is doing right now, on one screen or as JSON."""

import json

import click

from vmagent.capture import neighbours
from vmagent.runtime import readiness
from vmagent.runtime.places import CAPTURE_RUN, RUN
from vmagent.status import document

NOT_READY = 1


@click.command()
@click.option("--json", "as_json", is_flag=True, help="The whole status document, for scripts.")
@click.pass_context
def status(ctx: click.Context, as_json: bool) -> None:
    """Show which gate is open and which waits for what.

    Exits with 0 if the agent is ready, with 1 if it is not or does not run.
    """
    found = document.read(RUN)
    if found is None:
        click.echo("{}" if as_json else "istio-agent: not running")
        ctx.exit(NOT_READY)
    capture = readiness.read(CAPTURE_RUN / "gates", ("capture",), who="istio-capture")["capture"]
    if others := neighbours.told(neighbours.read(CAPTURE_RUN)):
        found = found | {"trouble": found.get("trouble", {}) | {"address": others}}
    if as_json:
        click.echo(json.dumps(found | {"capture": capture}, indent=1))
    else:
        click.echo("\n".join(document.screen(found, capture)))
    ctx.exit(0 if document.ready(found) else NOT_READY)
