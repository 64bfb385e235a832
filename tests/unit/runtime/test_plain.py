"""Text of others on root's terminal."""

import pytest
from click.testing import CliRunner

from vmagent.cli.main import cli
from vmagent.errors import Unavailable
from vmagent.runtime.plain import one_line, plain
from vmagent.status import document


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("", ""),
        ("é \t 日本 'x' \\", "é \t 日本 'x' \\"),
        ("a\x1b[2J\x00\x7f\x9b", r"a\x1b[2J\x00\x7f\x9b"),
        ("a\r\x85\u2028\u202e\ud800\U000e0001", r"a\r\x85\u2028\u202e\ud800\U000e0001"),
        ("a\nb\n  c\n\n", "a\n  b\n  c\n  \n  "),
    ],
)
def test_what_cannot_be_printed_is_escaped_and_what_follows_a_line_end_is_indented(
    text: str, shown: str
) -> None:
    assert plain(text) == shown
    assert plain(shown) == shown


def test_in_one_line_a_line_end_is_a_space() -> None:
    assert one_line("a\n  b\x1b \x85 c\r\n") == r"a b\x1b c"


def test_an_error_of_a_command_is_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(_: object) -> None:
        raise Unavailable("no\x1b[2J\nvmagent: ready", hint="do\x07\n  so")

    monkeypatch.setattr(document, "read", read)
    done = CliRunner().invoke(cli, ["status"])
    assert (done.output, done.exit_code) == (
        "vmagent: no\\x1b[2J\n  vmagent: ready\n  hint: do\\x07\n  so\n",
        75,
    )
