"""Plays the story in front of a reader."""

import time
from collections.abc import Callable, Sequence
from functools import partial

from lab.demo import screen, story
from lab.demo.stage import Failed, Stage
from lab.hosts.errors import LabError
from lab.hosts.lab import Lab

WALK = """
The lab stands. Walk around in it:
  .venv/bin/lab exec client -- curl nginx.jd.com
  .venv/bin/lab exec vm -- vmagent status
  .venv/bin/lab exec vm -- iptables-save
  .venv/bin/lab get workloadentry -n istio-demo -o yaml
  .venv/bin/lab logs vm
  .venv/bin/lab down
"""


def play(
    lab: Lab, *, keep: bool, istio_filters: bool = False, steps: Sequence[story.Step] = story.STEPS
) -> int:
    """Exit status: 0 if every step held. The lab is taken down, unless ``keep``."""
    try:
        lab.up()
    except LabError as error:
        screen.complain(str(error), error.hint)
        return 1
    try:
        held = _play(Stage(lab, screen.show, istio_filters=istio_filters), steps, keep=keep)
    finally:
        if not keep:
            lab.down()
    return 0 if held else 1


def _play(stage: Stage, steps: Sequence[story.Step], *, keep: bool) -> bool:
    report = screen.Report()
    held = _try(report, "The mesh is there", partial(story.begin, stage))
    for number, step in enumerate(steps, 1):
        if not held:
            break
        report.title(number, step.title)
        held = _try(report, step.title, partial(step.play, stage))
    if held and keep:
        held = _try(report, "The VM joins again", partial(story.replay, stage))
    report.summary()
    if keep:
        print(WALK)
    return held


def _try(report: screen.Report, title: str, play: Callable[[], None]) -> bool:
    began = time.monotonic()
    why = ""
    try:
        play()
    except (Failed, LabError) as error:
        why = str(error)
    report.verdict(title, time.monotonic() - began, why)
    return not why
