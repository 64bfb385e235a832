"""``lab get``: tables and documents of what the control plane serves.

Owns:      kubectl's rules for a table: which columns, when the namespace is one, what nothing is called.
Does not:  know what a kind's columns are (columns.py).
"""

import datetime
from dataclasses import dataclass

import click

from lab.hosts.cluster import Cluster, Json, Kind, Refused, kind_of
from lab.hosts.lab import Lab
from lab.kubectl.columns import columns
from lab.kubectl.output import as_json, as_yaml, complain, from_server
from lab.tables import table

_GAP = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    kinds: tuple[Kind, ...]
    names: tuple[str, ...] = ()
    namespace: str | None
    """None: all of them."""


@click.command("get")
@click.option("-n", "--namespace", default="default")
@click.option("-A", "--all-namespaces", "everywhere", is_flag=True)
@click.option(
    "-o",
    "--output",
    "form",
    type=click.Choice(["wide", "yaml", "json", "name"]),
    help="Otherwise a table.",
)
@click.option("--no-headers", is_flag=True)
@click.argument("kinds")
@click.argument("names", nargs=-1)
@click.pass_context
def get(
    ctx: click.Context,
    kinds: str,
    names: tuple[str, ...],
    namespace: str,
    everywhere: bool,
    form: str | None,
    no_headers: bool,
) -> None:
    """Resources of the control plane, as it serves them: KINDS [NAMES].

    \b
      lab get se,vs -A                 service entries and virtual services of every namespace
      lab get we -n istio-demo -o yaml
    """
    lab: Lab = ctx.obj
    if names and everywhere:
        raise click.UsageError("a name is of one namespace: give -n NAMESPACE instead of -A")
    wanted = Wanted(
        kinds=tuple(kind_of(word) for word in kinds.split(",")),
        names=names,
        namespace=None if everywhere else namespace,
    )
    found, problems = _found(Cluster(lab.host("istiod")), wanted)
    if form in (None, "wide"):
        _show_tables(wanted, found, wide=form == "wide", headed=not no_headers, told=not problems)
    else:
        click.echo(_document(wanted, found, str(form)), nl=False)
    for line in problems:
        complain(line)
    ctx.exit(1 if problems else 0)


Found = list[tuple[Kind, list[Json]]]


def _found(cluster: Cluster, wanted: Wanted) -> tuple[Found, list[str]]:
    found: Found = []
    problems: list[str] = []
    for kind in wanted.kinds:
        if not wanted.names:
            found.append((kind, cluster.list(kind, wanted.namespace)))
            continue
        items: list[Json] = []
        for name in wanted.names:
            try:
                items.append(cluster.get(kind, wanted.namespace or "default", name))
            except Refused as why:
                problems.append(from_server(why))
        found.append((kind, items))
    return found, problems


def _document(wanted: Wanted, found: Found, form: str) -> str:
    if form == "name":
        return "".join(
            f"{kind.typed}/{item['metadata']['name']}\n" for kind, items in found for item in items
        )
    every = [item for _, items in found for item in items]
    if len(wanted.names) == 1 == len(wanted.kinds):
        if not every:
            return ""
        shown: Json = every[0]
    else:
        shown = {"apiVersion": "v1", "items": every, "kind": "List", "metadata": {"resourceVersion": ""}}
    return as_yaml(shown) if form == "yaml" else as_json(shown)


def _show_tables(wanted: Wanted, found: Found, *, wide: bool, headed: bool, told: bool) -> None:
    filled = [(kind, items) for kind, items in found if items]
    if not filled and told:
        inside = wanted.namespace if any(kind.namespaced for kind in wanted.kinds) else None
        complain(f"No resources found in {inside} namespace." if inside else "No resources found")
    for index, (kind, items) in enumerate(filled):
        if index:
            click.echo()
        rows = rows_of(
            kind, items, wide=wide, everywhere=wanted.namespace is None, typed=len(wanted.kinds) > 1
        )
        for line in table(rows, gap=_GAP)[0 if headed else 1 :]:
            click.echo(line)


def rows_of(kind: Kind, items: list[Json], *, wide: bool, everywhere: bool, typed: bool) -> list[list[str]]:
    """Heading first. ``typed``: names say of which kind they are, as among several kinds."""
    now = datetime.datetime.now(datetime.UTC)
    shown = columns(kind.name, wide=wide, now=now)
    with_namespace = everywhere and kind.namespaced
    rows = [[*(["NAMESPACE"] if with_namespace else []), "NAME", *(each.heading for each in shown)]]
    for item in items:
        about = item["metadata"]
        name = f"{kind.typed}/{about['name']}" if typed else about["name"]
        first = [about.get("namespace", "")] if with_namespace else []
        rows.append([*first, name, *(each.cell(item) for each in shown)])
    return rows
