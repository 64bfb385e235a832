"""The order of a stop: the mesh hears of it, the rules go, then Envoy's turn comes."""

import asyncio
from pathlib import Path

import pytest

from tests.flow.xds.machine import until
from vmagent import farewell
from vmagent.farewell import Farewell
from vmagent.runtime import files
from vmagent.runtime.lifecycle import Tasks
from vmagent.runtime.readiness import LOCK, Readiness


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(farewell, "SPREAD", 0.2)
    monkeypatch.setattr(farewell, "RULES_LIMIT", 0.6)


class Capture:
    """The other process, as its files show it."""

    def __init__(self, root: Path) -> None:
        self.directory = files.directory(root / "capture", mode=0o755)
        assert files.Lock(self.directory / LOCK).acquire() is None
        gates = files.directory(self.directory / "gates", mode=0o755)
        self.gate = Readiness("capture", directory=gates)
        self.gate.open("capture")


def leaving(tmp_path: Path, *, counted_on: bool = True, capture: Path | None = None) -> Farewell:
    return Farewell(lambda: counted_on, run_dir=tmp_path, capture_dir=capture or tmp_path / "no capture here")


async def seconds(part: Farewell) -> float:
    loop = asyncio.get_running_loop()
    began = loop.time()
    await part.drain()
    return loop.time() - began


async def test_the_mesh_has_its_time_before_the_rules_are_asked_for(tmp_path: Path) -> None:
    capture = Capture(tmp_path)
    part = leaving(tmp_path, capture=capture.directory)
    async with Tasks() as tasks:
        drain = tasks.start("drain", part.drain())
        await asyncio.sleep(0.1)
        assert not (tmp_path / "leaving").exists()
        await until((tmp_path / "leaving").exists)
        await asyncio.sleep(0.1)
        assert not drain.done()
        capture.gate.close("capture", "the agent is leaving")
        async with asyncio.timeout(1):
            await drain


async def test_nobody_who_counted_on_us_is_waited_for(tmp_path: Path) -> None:
    assert await seconds(leaving(tmp_path, counted_on=False)) < 0.15


async def test_a_capture_that_does_not_answer_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    capture = Capture(tmp_path)
    assert 0.6 < await seconds(leaving(tmp_path, counted_on=False, capture=capture.directory)) < 2


async def test_a_successor_takes_over_unnoticed(tmp_path: Path) -> None:
    part = leaving(tmp_path)
    part.stays = True
    await part.drain()
    assert not (tmp_path / "leaving").exists()
