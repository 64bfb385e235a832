"""``lab apply`` and ``lab delete``: documents to the control plane, one after the other.

Owns:      what is said of each document. One that is refused stops no other.
"""

from collections.abc import Callable, Iterator
from http import HTTPStatus

import click

from lab.hosts.cluster import Cluster, Refused, kind_of
from lab.hosts.lab import Lab
from lab.kubectl.files import Unusable, Written, documents
from lab.kubectl.output import complain, from_server

_WEBHOOK = 'admission webhook "validation.istio.io" denied the request: configuration is invalid'

_FILES = click.option(
    "-f",
    "--filename",
    "files",
    multiple=True,
    metavar="FILE",
    help="YAML or JSON, or a directory of it, or - for standard input; as often as you like.",
)
_RECURSIVE = click.option("-R", "--recursive", is_flag=True, help="Directories in directories too.")


@click.command()
@_FILES
@_RECURSIVE
@click.option("-n", "--namespace", help="Of documents that name none.  [default: default]")
@click.pass_context
def apply(ctx: click.Context, files: tuple[str, ...], recursive: bool, namespace: str | None) -> None:
    """Create or replace every document of files. Exits with 1 if one was refused; the others are applied."""
    if not files:
        raise click.UsageError("give -f FILE")
    lab: Lab = ctx.obj
    cluster = Cluster(lab.host("istiod"))
    ctx.exit(1 if _each(files, recursive, namespace, lambda one: _apply(cluster, one)) else 0)


@click.command()
@_FILES
@_RECURSIVE
@click.option("-n", "--namespace", help="[default: default]")
@click.option("--ignore-not-found", "absent_is_fine", is_flag=True, help="What is not there is no error.")
@click.argument("kind", required=False)
@click.argument("names", nargs=-1)
@click.pass_context
def delete(
    ctx: click.Context,
    files: tuple[str, ...],
    recursive: bool,
    namespace: str | None,
    absent_is_fine: bool,
    kind: str | None,
    names: tuple[str, ...],
) -> None:
    """By KIND NAME..., or every document of files."""
    if bool(files) == bool(kind) or bool(kind) != bool(names):
        raise click.UsageError("give either KIND and NAME or -f FILE")
    lab: Lab = ctx.obj
    cluster = Cluster(lab.host("istiod"))

    def one(document: Written) -> None:
        _delete(cluster, document, absent_is_fine=absent_is_fine)

    failed = False
    if files:
        failed = _each(files, recursive, namespace, one)
    for name in names:
        document = Written(
            file="", number=0, kind=kind_of(str(kind)), name=name, namespace=namespace or "default", value={}
        )
        failed |= not _done(one, document)
    ctx.exit(1 if failed else 0)


class _Failed(Exception):
    """One document; the text is the whole line."""


def _each(
    files: tuple[str, ...], recursive: bool, namespace: str | None, do: Callable[[Written], None]
) -> bool:
    """Whether anything failed."""
    failed = False
    for each in _placed(files, recursive, namespace):
        if isinstance(each, Unusable):
            complain(each.why)
            failed = True
        else:
            failed |= not _done(do, each)
    return failed


def _placed(files: tuple[str, ...], recursive: bool, namespace: str | None) -> Iterator[Written | Unusable]:
    """With a namespace each."""
    for each in documents(files, recursive=recursive):
        if isinstance(each, Unusable) or not each.kind.namespaced:
            yield each
        elif each.namespace and namespace and each.namespace != namespace:
            yield Unusable(
                why=f'error: {each.place}: the namespace from the provided object "{each.namespace}" does '
                f"not match the namespace \"{namespace}\". You must pass '--namespace={each.namespace}' to "
                "perform this operation."
            )
        else:
            yield _inside(each, each.namespace or namespace or "default")


def _inside(document: Written, namespace: str) -> Written:
    value = {**document.value, "metadata": {**document.value["metadata"], "namespace": namespace}}
    return Written(
        file=document.file,
        number=document.number,
        kind=document.kind,
        name=document.name,
        namespace=namespace,
        value=value,
    )


def _done(do: Callable[[Written], None], document: Written) -> bool:
    try:
        do(document)
    except _Failed as why:
        complain(str(why))
        return False
    return True


def _apply(cluster: Cluster, document: Written) -> None:
    try:
        applied = cluster.apply(document.value)
    except Refused as why:
        raise _Failed(_refusal(document, why)) from None
    for warning in applied.warnings:
        complain(f"Warning: {document.file}, document {document.number}: {warning}")
    click.echo(f"{document.kind.typed}/{document.name} {applied.done}")


def _refusal(document: Written, why: Refused) -> str:
    """An invalid resource of Istio's is refused by istiod's webhook, one of Kubernetes' by the API server."""
    if why.status != HTTPStatus.UNPROCESSABLE_ENTITY:
        return from_server(why, f"error when applying {document.place}")
    if document.kind.group.endswith("istio.io"):
        return f"Error from server: error when applying {document.place}: {_WEBHOOK}: {why}"
    return f'The {document.kind.name} "{document.name}" in {document.place} is invalid: {why}'


def _delete(cluster: Cluster, document: Written, *, absent_is_fine: bool) -> None:
    try:
        cluster.delete(document.kind, document.namespace or "default", document.name)
    except Refused as why:
        if why.status == HTTPStatus.NOT_FOUND and absent_is_fine:
            return
        doing = f"error when deleting {document.place}" if document.file else ""
        raise _Failed(from_server(why, doing)) from None
    click.echo(f'{document.kind.typed} "{document.name}" deleted')
