"""A lab with a stage on it, for one module of tests."""

from collections.abc import Iterator
from contextlib import contextmanager

from lab.demo.stage import Stage
from lab.hosts.lab import Lab


@contextmanager
def staged(lab: Lab, *, istio_filters: bool = False) -> Iterator[Stage]:
    """Before the story has begun. The lab is gone afterwards; what a run that was cut off has left of it goes
    first.
    """
    lab.down()
    lab.up()
    try:
        yield Stage(lab, lambda kind, line: print(line), istio_filters=istio_filters)
    finally:
        lab.down()
