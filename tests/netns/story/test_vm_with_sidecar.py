"""The demo's steps as assertions: one text tells the story to a reader and to CI."""

import time
from collections.abc import Iterator

import pytest

from lab.demo import play, story
from lab.demo.stage import Stage
from lab.hosts.lab import Lab
from tests.staging import staged


class Played:
    """The stage, and whether every step so far held: a step after a broken one would tell nothing."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.broken = ""
        self.seconds = 0.0


LONGEST = 90.0
"""Seconds that the whole story may take in front of a reader."""


@pytest.fixture(scope="module")
def played() -> Iterator[Played]:
    lab = Lab("story")
    with staged(lab) as stage:
        story.begin(stage)
        yield Played(stage)


@pytest.mark.parametrize("step", story.STEPS, ids=lambda step: step.title)
def test_step(played: Played, step: story.Step) -> None:
    assert not played.broken, f"an earlier step did not hold: {played.broken}"
    played.broken = step.title
    began = time.monotonic()
    step.play(played.stage)
    played.seconds += time.monotonic() - began
    played.broken = ""


def test_the_whole_story_is_short_enough_to_watch(played: Played) -> None:
    assert not played.broken
    assert played.seconds < LONGEST


def test_a_step_that_does_not_hold_ends_the_demo_with_a_status_that_says_so(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def broken(stage: Stage) -> None:
        stage.type("vm", "false")

    lab = Lab("broken")
    steps = (story.Step("Something untrue", broken), story.Step("Never played", broken))
    assert play(lab, keep=False, steps=steps) == 1
    assert not lab.is_up
    printed = capsys.readouterr().out
    assert "`vm# false` ended with status 1" in printed
    assert "Never played" not in printed
