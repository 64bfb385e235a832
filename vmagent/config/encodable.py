"""Text that nobody can be sent, because UTF-8 has no bytes for it.

Owns:      finding it in the environment, in the host's name, and in what all settings together say to the
           mesh; the problem that names it.
Does not:  look at files as bytes: what is not UTF-8 there is told by line (envfile.py, meshfile.py).
Surprise:  Python reads such bytes as lone surrogates, which fail much later, where they are to be sent. JSON
           and YAML can spell one in a file that is sound: ``"\\ud800"``.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Final

from vmagent.config.model import Node
from vmagent.config.problem import Problem
from vmagent.config.setting import SETTINGS
from vmagent.config.unused import OPEN_PREFIXES

_WHY: Final = "not UTF-8"


def sendable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def environ(given: Mapping[str, str]) -> tuple[dict[str, str], list[Problem]]:
    """What can be used of it, with a mark in each place of what cannot; and what of that means something to
    us.
    """
    bad = {name: text for name, text in given.items() if not sendable(text)}
    marked = {name: text.encode(errors="replace").decode() for name, text in bad.items()}
    problems = [
        Problem(where="environment", key=name, value=text, why=_WHY, remedy="write it in UTF-8")
        for name, text in bad.items()
        if name in SETTINGS or name.startswith(OPEN_PREFIXES)
    ]
    return {**given, **marked}, problems


def host_name(name: str) -> Problem:
    remedy = "hostnamectl set-hostname NAME, or set POD_NAME"
    return Problem(where="this machine", key="hostname", value=name, why=_WHY, remedy=remedy)


def told(node: Node) -> Iterator[Problem]:
    """What the mesh is to be told and cannot."""
    for key, text in _texts("node", asdict(node)):
        if not sendable(text):
            remedy = "write the character itself, not half of it (\\ud800 to \\udfff)"
            yield Problem(
                where="what the settings say together", key=key, value=text, why=_WHY, remedy=remedy
            )


def _texts(key: str, value: object) -> Iterator[tuple[str, str]]:
    """With the way there, as ``node.metadata.LABELS.app``."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping):
        for name, one in value.items():
            yield key, str(name)
            yield from _texts(f"{key}.{name}" if sendable(str(name)) else key, one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(key, one)
