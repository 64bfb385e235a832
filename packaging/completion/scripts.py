"""Writes the shells' completions: ``scripts.py ROOT``, each at its place below that directory.

Owns:      one script a shell, with every word in it: no Python is started while somebody types.
Does not:  know the package; who builds it calls this.
"""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

from vmagent.cli.main import cli
from vmagent.config import capture_settings, credential_settings, settings
from vmagent.config.proxyconfig import PROXY_CONFIG
from vmagent.config.setting import SETTINGS

PLACES: Final = {
    "vmagent": "usr/share/bash-completion/completions/vmagent",
    "_vmagent": "usr/share/zsh/vendor-completions/_vmagent",
    "vmagent.fish": "usr/share/fish/vendor_completions.d/vmagent.fish",
}
"""Script → where a Debian package puts it."""

EXPLAINED: Final = (*sorted(SETTINGS), *PROXY_CONFIG.fields)
"""What ``config explain`` takes: rows of these modules, in no order of theirs, and the mesh file's."""
_ROWS: Final = {settings.LOG_LEVEL.name, credential_settings.PROV_CERT.name, *capture_settings.CAPTURE}
assert SETTINGS.keys() >= _ROWS


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    text: str
    help: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What may follow a command, or what is before it."""

    path: tuple[str, ...]
    """Without ``vmagent``; empty at the beginning."""
    commands: tuple[Word, ...]
    options: tuple[Word, ...]
    values: tuple[str, ...]
    """Of its arguments."""
    files: tuple[str, ...]
    """Options that a file or directory follows."""
    free: tuple[str, ...]
    """Options that something else follows, which nobody can know."""


def main(root: str) -> None:
    for name, text in scripts().items():
        path = Path(root, PLACES[name])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def scripts() -> dict[str, str]:
    places = {place.path: place for place in _places(cli, ())}
    return {"vmagent": bash(places), "_vmagent": zsh(places), "vmagent.fish": fish(places)}


Places = Mapping[tuple[str, ...], Place]


def _places(command: click.Command, path: tuple[str, ...]) -> Iterator[Place]:
    context = click.Context(command)
    children: dict[str, click.Command] = {}
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            assert child is not None
            children[name] = child
    options = [param for param in command.get_params(context) if isinstance(param, click.Option)]
    yield Place(
        path=path,
        commands=tuple(
            Word(text=name, help=child.get_short_help_str(60)) for name, child in children.items()
        ),
        options=tuple(
            Word(text=text, help=option.help or "")
            for option in options
            for text in (*option.opts, *option.secondary_opts)
        ),
        values=_values(command, path),
        files=_taking(options, file=True),
        free=_taking(options, file=False),
    )
    for name, child in children.items():
        yield from _places(child, (*path, name))


def _values(command: click.Command, path: tuple[str, ...]) -> tuple[str, ...]:
    if path == ("config", "explain"):
        return EXPLAINED
    found: list[str] = []
    for param in command.params:
        if isinstance(param, click.Argument) and isinstance(param.type, click.Choice):
            found += map(str, param.type.choices)
    return tuple(found)


def _taking(options: list[click.Option], *, file: bool) -> tuple[str, ...]:
    return tuple(
        text
        for option in options
        if not option.is_flag and isinstance(option.type, click.Path) is file
        for text in option.opts
    )


def _path_cases(places: Places) -> str:
    """A shell pattern for each command: what has been typed, and the word that leads further."""
    return "|".join(f'"{" ".join(("", *path))}"' for path in places if path)


BASH: Final = """\
# bash completion for vmagent. Generated: packaging/completion/scripts.py.
_vmagent() {
    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} where='' words='' word
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case "$where $word" in
            @PATHS@) where+=" $word" ;;
        esac
    done
    case "$where:$before" in
@FILES@
@FREE@
    esac
    case "$where" in
@WORDS@
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}
complete -F _vmagent vmagent
"""

_BASH_FILES: Final = """\
            compopt -o filenames
            mapfile -t COMPREPLY < <(compgen -f -- "$current")
            return ;;"""


def bash(places: Places) -> str:
    files, free, words = [], [], []
    for place in places.values():
        where = " ".join(("", *place.path)) if place.path else ""
        files += [f'"{where}:{option}"' for option in place.files]
        free += [f'"{where}:{option}"' for option in place.free]
        typed = [*(word.text for word in (*place.commands, *place.options)), *place.values]
        words.append(f'        "{where}") words="{" ".join(typed)}" ;;')
    return _filled(
        BASH,
        PATHS=_path_cases(places),
        FILES=f"        {'|'.join(files)})\n{_BASH_FILES}",
        FREE=f"        {'|'.join(free)})\n            return ;;",
        WORDS="\n".join(words),
    )


ZSH: Final = """\
#compdef vmagent
# zsh completion for vmagent. Generated: packaging/completion/scripts.py.
local where= word
local -a found options
for word in "${(@)words[2,CURRENT-1]}"; do
    case "$where $word" in
        @PATHS@) where+=" $word" ;;
    esac
done
case "$where:${words[CURRENT-1]}" in
    @FILES@) _files; return ;;
    @FREE@) _message 'a value'; return ;;
esac
case "$where" in
@WORDS@
esac
_describe 'vmagent' found
_describe -o 'option' options
"""


def zsh(places: Places) -> str:
    files, free, words = [], [], []
    for place in places.values():
        where = " ".join(("", *place.path)) if place.path else ""
        files += [f'"{where}:{option}"' for option in place.files]
        free += [f'"{where}:{option}"' for option in place.free]
        told = [*map(_zsh_word, place.commands), *(value.replace(":", "\\:") for value in place.values)]
        options = map(_zsh_word, place.options)
        words.append(
            f'    "{where}")\n        found=({" ".join(map(_quoted, told))})\n'
            f"        options=({' '.join(map(_quoted, options))}) ;;"
        )
    return _filled(
        ZSH,
        PATHS=_path_cases(places),
        FILES="|".join(files),
        FREE="|".join(free),
        WORDS="\n".join(words),
    )


def _zsh_word(word: Word) -> str:
    return f"{word.text}:{word.help}" if word.help else word.text


def fish(places: Places) -> str:
    lines = [
        "# fish completion for vmagent. Generated: packaging/completion/scripts.py.",
        "complete -c vmagent -f",
    ]
    for place in places.values():
        when = _fish_condition(place)
        lines += [
            f"complete -c vmagent -n {when} -a {word.text} -d {_quoted(word.help)}" for word in place.commands
        ]
        lines += [f"complete -c vmagent -n {when} -a {_quoted(' '.join(place.values))}"] * bool(place.values)
        for option in place.options:
            kind = f"-l {option.text[2:]}" if option.text.startswith("--") else f"-s {option.text[1:]}"
            takes = " -r -F" if option.text in place.files else " -x" if option.text in place.free else ""
            lines.append(f"complete -c vmagent -n {when} {kind}{takes} -d {_quoted(option.help)}")
    return "\n".join((*lines, ""))


def _fish_condition(place: Place) -> str:
    here = [f"__fish_seen_subcommand_from {name}" for name in place.path]
    further = " ".join(word.text for word in place.commands)
    if not place.path:
        here = ["__fish_use_subcommand"]
    elif further:
        here.append(f"not __fish_seen_subcommand_from {further}")
    return _quoted("; and ".join(here))


def _quoted(text: str) -> str:
    """For zsh and fish alike."""
    return "'" + text.replace("'", "'\\''") + "'"


def _filled(template: str, **parts: str) -> str:
    for name, text in parts.items():
        template = template.replace(f"@{name}@", text)
    return template


if __name__ == "__main__":
    main(*sys.argv[1:])
