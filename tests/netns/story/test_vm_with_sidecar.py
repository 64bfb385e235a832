"""The demo's steps as assertions: one text tells the story to a reader and to CI."""

from collections.abc import Iterator

import pytest

from lab.demo import story
from lab.demo.stage import Stage
from lab.hosts.lab import Lab


class Played:
    """The stage, and whether every step so far held: a step after a broken one would tell nothing."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.broken = ""


@pytest.fixture(scope="module")
def played() -> Iterator[Played]:
    lab = Lab("story")
    lab.up()
    try:
        stage = Stage(lab, lambda kind, line: print(line))
        story.begin(stage)
        yield Played(stage)
    finally:
        lab.down()


@pytest.mark.parametrize("step", story.STEPS, ids=lambda step: step.title)
def test_step(played: Played, step: story.Step) -> None:
    assert not played.broken, f"an earlier step did not hold: {played.broken}"
    played.broken = step.title
    step.play(played.stage)
    played.broken = ""
