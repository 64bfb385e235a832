"""The command line: words to one call each. The only place that prints or exits."""

import errno
import importlib
import io
import os
import sys
from typing import Any

import click

from vmagent import __version__
from vmagent.errors import VmagentError
from vmagent.runtime.plain import plain

COMMANDS = {
    "proxy": "vmagent.cli.proxy:proxy",
    "wait": "vmagent.cli.wait:wait",
    "status": "vmagent.cli.status:status",
    "config": "vmagent.cli.config:config",
    "entry": "vmagent.cli.entry:entry",
    "capture": "vmagent.cli.capture:capture",
}
"""Word to where it is: a command's module is imported when the command is used, so that ``--help`` is
instant.
"""


_UNWRITTEN = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG})
"""How the kernel says that output cannot be written; a reader that has gone is click's own matter."""

INTERRUPTED = 130
"""What a shell reports for a command that ^C ended."""


class Cli(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except VmagentError as error:
            click.echo(plain(f"vmagent: {error}"), err=True)
            if error.hint:
                click.echo(plain(f"  hint: {error.hint}"), err=True)
            ctx.exit(error.exit_code)


@click.group(cls=Cli, context_settings={"show_default": True, "max_content_width": 100})
@click.version_option(__version__, prog_name="vmagent")
def cli() -> None:
    """Join this machine to an Istio mesh.

    \b
      vmagent entry configure   write the files for a new VM (on a machine that reaches the mesh)
      vmagent config check      are the files sound? (changes nothing)
      vmagent proxy             the daemon
      vmagent wait              until it is ready
      vmagent status            what is it doing right now?
      vmagent capture plan      which packet rules would be installed? (changes nothing)

    \b
    Exit codes: 0 fine, 1 not ready, 64 usage, 70 our bug, 74 output, 75 try again, 77 refused,
    78 configuration.
    """


def main() -> None:
    """Console script. click's own exit statuses are replaced by those that ``--help`` promises."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a locale without "…" must not cost the answer
    try:
        raise SystemExit(cli(prog_name="vmagent", standalone_mode=False))
    except click.UsageError as error:
        error.show()
        raise SystemExit(os.EX_USAGE) from None
    except click.Abort:
        raise SystemExit(INTERRUPTED) from None
    except Exception as bug:  # noqa: BLE001  # for its exit status
        if isinstance(bug, OSError) and bug.filename is None and bug.errno in _UNWRITTEN:
            raise SystemExit(_unwritten(bug.errno)) from None
        sys.excepthook(type(bug), bug, bug.__traceback__)
        raise SystemExit(os.EX_SOFTWARE) from None


def _unwritten(why: int) -> int:
    """What names no file was written to a stream."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python would try once more when it ends
    click.echo(f"vmagent: standard output: {os.strerror(why)}", err=True)
    return os.EX_IOERR
