"""``exec`` with real commands, and the sentences that an operator reads."""

import asyncio
import sys
from pathlib import Path

import pytest

from tests.flow.health.application import probe
from tests.processes import alive
from vmagent.health.checks import check
from vmagent.health.config import Exec


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("true",), None),
        (("false",), "command false: exit status 1"),
        (("sh", "-c", "exit 7"), "command sh: exit status 7"),
        (("sh", "-c", "kill -9 $$"), "command sh: ended by signal 9"),
        (("/nowhere/x", "y"), "command /nowhere/x: no such file or directory"),
        (("/etc/passwd",), "command /etc/passwd: permission denied"),
    ],
)
async def test_an_exec_probe_goes_by_the_exit_status(command: tuple[str, ...], said: str | None) -> None:
    assert await check(probe(Exec(command=command))) == said


async def test_an_exec_probe_uses_no_shell() -> None:
    code = "import sys; sys.exit(sys.argv[1] != '$HOME; exit 1')"
    assert await check(probe(Exec(command=(sys.executable, "-c", code, "$HOME; exit 1")), timeout=5)) is None


async def test_a_command_that_hangs_is_killed_with_its_children(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    command = ("sh", "-c", f"sleep 60 & echo $! > {mark}; wait")
    said = await check(probe(Exec(command=command), timeout=0.3))
    assert said == "command sh: did not end within 0.3 s and was killed"
    child = int(mark.read_text())
    for _ in range(100):
        if not alive(child):
            break
        await asyncio.sleep(0.02)
    assert not alive(child)


async def test_output_of_a_command_does_not_stop_it() -> None:
    assert await check(probe(Exec(command=("head", "-c", "1000000", "/dev/zero")))) is None
