"""Writes the man pages: ``pages.py DIRECTORY``.

Owns:      what of them can be made: commands and options from the command line itself, settings from their
           tables. Prose stands beside it, in ``*.in``.
Does not:  compress or install; who builds the package does.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import click

from vmagent import __version__
from vmagent.cli.main import cli
from vmagent.config import credential_settings
from vmagent.config.capture_settings import CAPTURE
from vmagent.config.setting import SETTINGS, Setting
from vmagent.config.settings import OWN

HERE: Final = Path(__file__).parent
SEVERAL_NAMES: Final = {
    "istio-agent.service.8": ("istio-capture.service.8", "istio.service.8"),
    "agent.env.5": ("cluster.env.5", "sidecar.env.5"),
}
"""The page to other names of it."""


def main(directory: str) -> None:
    for name, text in pages().items():
        Path(directory, name).write_text(text)


def pages() -> dict[str, str]:
    """File name → roff."""
    made = {
        "VERSION": __version__,
        "COMMANDS": "\n".join(
            _commands(cli, click.Context(cli, info_name="vmagent", **cli.context_settings))
        ),
        "OWN": _settings(lambda name: name.startswith(OWN)),
        "ISTIO": _settings(lambda name: not name.startswith(OWN) and name not in CAPTURE),
        "CAPTURE": _settings(lambda name: name in CAPTURE),
    }
    found = {}
    for source in sorted(HERE.glob("*.in")):
        text = source.read_text()
        for key, value in made.items():
            text = text.replace(f"@{key}@", value)
        found[source.stem] = text
    for name, others in SEVERAL_NAMES.items():
        section = name.rpartition(".")[2]
        found |= dict.fromkeys(others, f".so man{section}/{name}\n")
    return found


def _commands(command: click.Command, context: click.Context) -> Iterator[str]:
    """Every command below, in the order of ``--help``."""
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            below = click.Context(child, info_name=name, parent=context)
            if isinstance(child, click.Group):
                yield from _commands(child, below)
            else:
                yield from _command(child, below)


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    usage = " ".join((context.command_path, *command.collect_usage_pieces(context)))
    yield f".SS {roff(usage)}"
    yield from _prose(command.help or "")
    for option in command.get_params(context):
        if isinstance(option, click.Option) and "--help" not in option.opts:
            record = option.get_help_record(context)
            assert record, f"{context.command_path} {option.name} is hidden"
            yield from (".TP", f'.B "{roff(record[0])}"', roff(record[1]))


def _prose(text: str) -> Iterator[str]:
    r"""click's paragraphs; one that begins with \b keeps its lines."""
    paragraphs = [found for part in text.split("\n\n") if (found := part.strip(" \n"))]
    for number, paragraph in enumerate(paragraphs):
        yield from [".PP"] if number else []
        if paragraph.startswith("\b"):
            yield from (".nf", *(roff(line.strip()) for line in paragraph[1:].strip().split("\n")), ".fi")
        else:
            yield roff(" ".join(paragraph.split()))


def _settings(wanted: Callable[[str], bool]) -> str:
    lines: list[str] = []
    assert credential_settings.PROV_CERT.name in SETTINGS  # each module of rows is imported
    for name, setting in sorted(SETTINGS.items()):
        if wanted(name):
            lines += [".TP", f".B {roff(name)}", roff(_meaning(setting))]
    return "\n".join(lines)


def _meaning(setting: Setting[object]) -> str:
    default = f" Default: {setting.default}." if setting.default else ""
    return f"{setting.help}{default}{' May be empty.' if setting.empty_counts and default else ''}"


def roff(text: str) -> str:
    """A line of text that means nothing to the formatter."""
    plain = text.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq")
    return f"\\&{plain}" if plain[:1] in ".'" else plain


if __name__ == "__main__":
    main(*sys.argv[1:])
