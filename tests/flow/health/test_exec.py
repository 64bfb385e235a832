"""``exec`` with real commands, and the sentences that an operator reads."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.flow.health.application import probe
from tests.processes import alive
from vmagent.health.checks import Checks
from vmagent.health.config import Exec

check = Checks().check


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


async def test_a_command_that_ends_just_as_it_is_to_be_killed_is_no_bug_of_the_probe() -> None:
    for step in range(300):
        said = await check(probe(Exec(command=("sh", "-c", "exit 0")), timeout=0.0008 + step * 1e-5))
        assert said is None or said.endswith("and was killed")


HELD = """\
import ctypes, os, sys
victim = os.getpid()
if os.fork():
    with open(sys.argv[1]) as until_the_end:  # the probe's limit comes sooner
        until_the_end.read()
os.setsid()
SEIZE = 0x4206
assert ctypes.CDLL(None, use_errno=True).ptrace(SEIZE, victim, None, None) == 0, ctypes.get_errno()
with open(sys.argv[2], "w") as seized, open(sys.argv[1]) as until_the_end:
    seized.write(str(os.getpid()))
    seized.close()
    until_the_end.read()
"""
"""A command whose end its parent does not get to see: who traces it has to look first. As with one that waits
for a disk that hangs, SIGKILL changes nothing for whoever waits."""


async def test_a_command_that_the_kernel_cannot_end_does_not_end_the_probing(tmp_path: Path) -> None:
    gate, seized = tmp_path / "gate", tmp_path / "seized"
    os.mkfifo(gate)
    command = Exec(command=(sys.executable, "-c", HELD, str(gate), str(seized)))
    async with asyncio.timeout(30):
        assert "did not end within 2 s" in (await check(probe(command, timeout=2)) or "healthy")
        assert seized.exists(), "the command was not held"
        again = await check(probe(Exec(command=("true",))))
        assert "the kernel has not ended it" in (again or "healthy"), "a second one would pile up"
        gate.open("w").close()
        while await check(probe(Exec(command=("true",)))) is not None:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


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
