from collections.abc import Callable
from pathlib import Path

from vmagent.identity.filewatch import POLL, changed, look


class StepClock:
    """Each sleep passes at once; ``during`` runs in each."""

    def __init__(self, during: Callable[[float], None] = lambda _: None) -> None:
        self.time = 0.0
        self._during = during

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds
        self._during(self.time)


async def test_without_a_change_the_whole_time_passes(tmp_path: Path) -> None:
    clock, paths = StepClock(), (tmp_path / "token",)
    assert not await changed(paths, look(paths), within=2.2, clock=clock)
    assert clock.time == 2.2


async def test_a_file_that_appears_is_noticed_at_the_next_look(tmp_path: Path) -> None:
    paths = (tmp_path / "token", tmp_path / "root")
    clock = StepClock(lambda now: paths[0].touch() if now >= 1 else None)
    assert await changed(paths, look(paths), within=60.0, clock=clock)
    assert clock.time <= 1 + POLL


async def test_a_change_before_the_first_look_is_not_missed(tmp_path: Path) -> None:
    clock, paths = StepClock(), (tmp_path / "token",)
    before = look(paths)
    paths[0].touch()
    assert await changed(paths, before, within=60.0, clock=clock)
    assert clock.time == 0.0


async def test_a_file_that_becomes_readable_counts_as_changed(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.touch(mode=0o000)
    before = look((path,))
    path.chmod(0o600)
    assert look((path,)) != before
