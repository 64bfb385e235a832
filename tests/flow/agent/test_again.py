"""Whether the program on disk would start."""

import sys

import pytest

from vmagent.runtime import again


async def test_the_program_on_disk_starts() -> None:
    assert await again.obstacle() == ""


@pytest.mark.parametrize(
    ("program", "why"),
    [
        ((sys.executable, "-c", "import no_such_module"), "ModuleNotFoundError: No module named"),
        ((sys.executable, "-c", "raise SystemExit(3)"), "exit status 3"),
        (("/no/such/python",), "/no/such/python: No such file or directory"),
        ((sys.executable, "-c", "while True: pass"), "it has not started within 0.5 s"),
    ],
)
async def test_one_that_does_not_is_told_in_a_sentence(
    program: tuple[str, ...], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(again, "TRIAL", program)
    monkeypatch.setattr(again, "TRIAL_LIMIT", 0.5 if "while" in program[-1] else 20.0)
    assert why in await again.obstacle()
