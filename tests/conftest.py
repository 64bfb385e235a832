"""Unit tests have closed doors: no process, no connection. ``@pytest.mark.effects`` opens them, visibly."""

import socket
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
RECORDINGS = ROOT.parent / "shared" / "recordings"

# What test modules share says what it compared, as they do themselves.
pytest.register_assert_rewrite("tests.flow", "tests.netns", "tests.system", "tests.unit")


class EffectInUnitTest(BaseException):
    """BaseException, so that no ``except Exception`` in the code under test can swallow it."""


@pytest.fixture(autouse=True)
def closed_doors(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    unit = ROOT / "tests" / "unit" in Path(request.node.path).parents
    if not unit or request.node.get_closest_marker("effects"):
        return

    def refuse(*args: object, **_: object) -> None:
        raise EffectInUnitTest(f"{request.node.name} reached for the outside world: {args[1:2]}")

    monkeypatch.setattr(subprocess.Popen, "__init__", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "bind", refuse)
