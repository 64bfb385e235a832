"""Completion knows every word of the command line, and starts no program to find it."""

import subprocess
from pathlib import Path

import click
import pytest

from tests.unit.shipped.test_man import COMMANDS, script
from vmagent.cli.main import cli
from vmagent.config.setting import SETTINGS

SCRIPTS: dict[str, str] = script("packaging/completion/scripts.py").scripts()


def complete(tmp_path: Path, *words: str) -> list[str]:
    """What bash offers for the last word, in a world without any program."""
    file = tmp_path / "vmagent"
    file.write_text(SCRIPTS["vmagent"])
    code = (
        f'compopt() {{ :; }}; source {file}; COMP_WORDS=(vmagent "$@"); COMP_CWORD=$#; _vmagent;'
        ' printf "%s\\n" "${COMPREPLY[@]}"'
    )
    done = subprocess.run(
        ["/bin/bash", "--norc", "-c", code, "bash", *words],
        capture_output=True, text=True, check=True, env={"PATH": str(tmp_path)},
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.effects
@pytest.mark.parametrize("name", COMMANDS)
def test_bash_offers_every_option_of_every_command(tmp_path: Path, name: str) -> None:
    options = [param for param in COMMANDS[name].params if isinstance(param, click.Option)]
    wanted = {text for option in options for text in (*option.opts, *option.secondary_opts)} | {"--help"}
    assert wanted <= set(complete(tmp_path, *name.split(), ""))
    assert set(complete(tmp_path, *name.split(), "--")) == {text for text in wanted if text.startswith("--")}


@pytest.mark.effects
@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("c",), ["config", "capture"]),
        (("--v",), ["--version"]),
        (("capture", "p"), ["plan"]),
        (("wait", "identity", "d"), ["dns"]),
        (("wait", "--timeout", "5", "cap"), ["capture"]),
        (("wait", "--timeout", ""), []),
        (("entry", "configure", "-o", "capture", "--root"), ["--root-cert"]),
        (("config", "explain", "drainD"), ["drainDuration"]),
        (("config", "explain", "VMAGENT_"), sorted(name for name in SETTINGS if name.startswith("VMAGENT_"))),
    ],
)
def test_bash_offers_what_fits(tmp_path: Path, words: tuple[str, ...], offered: list[str]) -> None:
    assert complete(tmp_path, *words) == offered


@pytest.mark.effects
def test_bash_offers_files_where_a_file_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "group.yaml").touch()
    for option in ("-f", "--file", "--token", "--output"):
        assert complete(tmp_path, "entry", "configure", option, f"{tmp_path}/gr") == [
            f"{tmp_path}/group.yaml"
        ]


@pytest.mark.parametrize("shell", SCRIPTS)
def test_no_shell_starts_a_program_and_each_knows_every_command_and_option(shell: str) -> None:
    text = SCRIPTS[shell]
    assert "$(vmagent" not in text
    assert "`" not in text
    assert "python" not in text
    words = {word for name in COMMANDS for word in name.split()}
    context = click.Context(cli)
    words |= set(cli.list_commands(context))
    for command in COMMANDS.values():
        words |= {opt.lstrip("-") for param in command.params for opt in param.opts if opt.startswith("--")}
    assert [word for word in sorted(words) if word not in text] == []
