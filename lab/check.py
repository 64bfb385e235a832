"""``lab check``: what a control plane would say about files of resources, without one.

Owns:      the words for what becomes of a document.
Does not:  judge (lab/controlplane/kinds): it is the same reading that a running lab does.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from lab.controlplane.analysis import without_effect
from lab.controlplane.mesh import Mesh
from lab.controlplane.registry import World, key_of
from lab.controlplane.resources import Parsed, Resource, read


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.pass_context
def check(context: click.Context, files: tuple[Path, ...]) -> None:
    """Which documents of these files would be accepted, and what is wrong with the others.

    A directory means the YAML files in it. What is without effect is accepted: together with the other files
    given it leads nowhere. Exit status: 0 nothing refused, 1 something refused, 2 a file cannot
    be read.
    """
    refused = unreadable = False
    world = World()
    places: dict[tuple[str, str, str], Path] = {}
    for path in _files(files):
        try:
            parsed = read(path.read_text(), file=str(path))
        except (OSError, UnicodeDecodeError) as why:
            click.echo(f"{path}: cannot be read: {why}")
            unreadable = True
            continue
        lines = [*_said(parsed), *_twice(path, parsed, places)]
        refused |= bool(parsed.refused)
        world = world.exchange((), _new(parsed, world))
        for line in lines:
            click.echo(line)
    for line in without_effect(world, Mesh()):
        click.echo(f"without effect: {line}")
    context.exit(2 if unreadable else 1 if refused else 0)


def _files(given: Iterable[Path]) -> Iterator[Path]:
    for path in given:
        if path.is_dir():
            yield from sorted(each for suffix in ("*.yaml", "*.yml") for each in path.rglob(suffix))
        else:
            yield path


def _said(parsed: Parsed) -> Iterator[str]:
    for resource in parsed.resources:
        about = resource.metadata
        yield f"accepted: {resource.KIND} {about.namespace}/{about.name}"
    for warning in parsed.warnings:
        yield f"without effect: {warning}"
    for each in parsed.refused:
        yield f"refused: {each.why}"


def _new(parsed: Parsed, world: World) -> Iterable[Resource]:
    found = {key_of(each): each for each in parsed.resources}
    return (each for key, each in found.items() if key not in world.resources)


def _twice(path: Path, parsed: Parsed, places: dict[tuple[str, str, str], Path]) -> Iterator[str]:
    for resource in parsed.resources:
        kind, namespace, name = key_of(resource)
        first = places.setdefault((kind, namespace, name), path)
        if first != path:
            yield f"without effect: {path}: {kind} {namespace}/{name} is already in {first}"
