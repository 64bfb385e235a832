from collections.abc import Iterator

import pytest

from lab.hosts.lab import Lab
from tests.netns.wrong_files.machine import Machine


@pytest.fixture(scope="package")
def prepared() -> Iterator[Machine]:
    lab = Lab("wrong")
    lab.down()
    lab.up()
    try:
        machine = Machine(lab)
        machine.prepare()
        yield machine
    finally:
        lab.down()


@pytest.fixture
def machine(prepared: Machine) -> Iterator[Machine]:
    """Good files, nothing started; afterwards nothing of ours is left."""
    prepared.reset()
    yield prepared
    prepared.assert_gone()
