"""Objects as text: YAML and JSON as kubectl writes them, and its error lines."""

import json
from typing import Any, Final

import click
import yaml

from lab.hosts.cluster import Refused

Json = Any

REASONS: Final = {404: "NotFound", 409: "Conflict", 400: "BadRequest", 405: "MethodNotAllowed"}


class _Dumper(yaml.SafeDumper):
    """Texts of several lines stay readable, as kubectl writes them."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def as_yaml(value: Json) -> str:
    """Keys in order of the alphabet."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=True, allow_unicode=True)


def as_json(value: Json) -> str:
    return json.dumps(value, indent=4, sort_keys=True, ensure_ascii=False) + "\n"


def from_server(why: Refused, doing: str = "") -> str:
    """``Error from server (NotFound): ...``. ``doing``: what went wrong with what, before the reason."""
    reason = f" ({REASONS[why.status]})" if why.status in REASONS else ""
    return f"Error from server{reason}: {f'{doing}: ' if doing else ''}{why}"


def complain(line: str) -> None:
    click.echo(line, err=True)
