from collections.abc import Iterator

import pytest

from lab.hosts.lab import Lab

OTHER = "hosts-test-2"


@pytest.fixture
def other() -> Iterator[Lab]:
    lab = Lab(OTHER)
    lab.down()
    yield lab
    lab.down()
