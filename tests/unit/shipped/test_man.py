"""The man pages say what the command line, the settings and the units are. Nothing is written down twice."""

import importlib.util
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import click
import pytest

from lab.hosts.unit import seconds
from tests.conftest import ROOT
from tests.unit.shipped.test_units import values
from vmagent import errors
from vmagent.capture.hold import parse
from vmagent.cli.main import INTERRUPTED, cli
from vmagent.cli.status import NOT_READY
from vmagent.config.setting import SETTINGS
from vmagent.runtime.logfile import KEPT, LARGEST


def script(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PAGES: dict[str, str] = script("packaging/man/pages.py").pages()


def plain(page: str) -> str:
    """Without what the formatter alone reads, a line for each."""
    text = page.replace("\\-", "-").replace("\\e", "\\").replace("\\(dq", '"').replace("\\&", "")
    return re.sub(r'^\.\w+ "?(.*?)"?$', r"\1", text, flags=re.M)


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


COMMANDS = dict(commands(cli))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there_with_every_option(name: str) -> None:
    page = PAGES["vmagent.8"]
    begin = page.index(f"\n.SS vmagent {name} ")
    section = plain(page[begin : page.index("\n.S", begin + 1)])
    for option in COMMANDS[name].params:
        if isinstance(option, click.Option):
            line = next(line for line in section.splitlines() if line.startswith(option.opts[0]))
            assert all(text in line for text in (*option.opts, *option.secondary_opts))
            assert option.help
            assert option.help in section


def test_the_command_that_click_does_not_know_is_there_with_what_it_takes() -> None:
    with pytest.raises(errors.Misconfigured) as refusal:
        parse(["--help"])
    line = next(
        line for line in plain(PAGES["vmagent.8"]).splitlines() if line.startswith("vmagent capture hold")
    )
    assert re.findall(r"--\w+=[A-Z,]+", line) == re.findall(r"--\w+=[A-Z,]+", refusal.value.hint)


@pytest.mark.parametrize("name", ["vmagent.8", "agent.env.5", "istio-agent.service.8"])
def test_prose_mentions_commands_that_exist(name: str) -> None:
    said = re.findall(r"^(?:\.BR? \"?)?(?:.* && )?vmagent ([a-z][a-z ]*)", PAGES[name], re.M)
    known = {*COMMANDS, "capture hold", "does on a virtual machine"}
    assert [words for words in said if not any(words.strip().startswith(each) for each in known)] == []
    assert said


def test_exit_statuses_are_those_of_the_program() -> None:
    section = PAGES["vmagent.8"].partition(".SH EXIT STATUS\n")[2].partition("\n.SH")[0]
    kinds = (errors.VmagentError, errors.Misconfigured, errors.Unavailable, errors.Refused)
    known = {0, NOT_READY, os.EX_USAGE, os.EX_IOERR, INTERRUPTED, *(kind.exit_code for kind in kinds)}
    assert {int(number) for number in re.findall(r"^\.TP\n(\d+)$", section, re.M)} == known


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_is_there_with_its_meaning_and_default(name: str) -> None:
    setting, page = SETTINGS[name], plain(PAGES["agent.env.5"])
    told = re.findall(rf"^{name}\n(.*)$", page, re.M)
    assert len(told) == 1
    assert told[0].startswith(setting.help)
    assert not setting.default or f"Default: {setting.default}." in told[0]


def test_figures_are_those_of_the_units_and_of_the_code() -> None:
    page = plain(PAGES["istio-agent.service.8"])
    assert f"After {seconds(values('istio-agent.service', 'WatchdogSec')[0]):.0f} seconds of silence" in page
    assert (
        f"process has {seconds(values('istio-capture.service', 'WatchdogSec')[0]) / 60:.0f} minutes" in page
    )
    for unit in ("istio-agent.service", "istio-capture.service"):
        assert values(unit, "RestartSec") == ["0"]
        assert values(unit, "ExecStopPost")[0].endswith("|| sleep 1'")
    assert "if it ran for less than ten seconds, after one second" in page
    assert (LARGEST, KEPT) == (10 << 20, 4)
    assert "rotates by itself at 10 MiB, with four older ones" in page


def test_a_page_with_several_names_is_found_under_each() -> None:
    others = {name: text for name, text in PAGES.items() if text.startswith(".so ")}
    assert set(others) >= {"istio-capture.service.8", "istio.service.8", "cluster.env.5"}
    for text in others.values():
        section, _, name = text.removeprefix(".so man").strip().partition("/")
        assert name.endswith(f".{section}")
        assert name in PAGES


@pytest.mark.effects
@pytest.mark.parametrize("name", [name for name, text in PAGES.items() if not text.startswith(".so ")])
def test_a_page_is_formatted_without_a_warning(name: str) -> None:
    done = subprocess.run(
        ["groff", "-man", "-ww", "-z", "-Tutf8"],
        input=PAGES[name],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
    assert not re.findall(r"@[A-Z]+@", PAGES[name])
