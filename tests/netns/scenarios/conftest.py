from collections.abc import Iterator

import pytest

from lab.hosts.lab import Lab
from lab.scenes.raising import Site


@pytest.fixture(scope="package")
def site() -> Iterator[Site]:
    """One lab for all scenes: raising it, and joining its hosts, takes longer than most of them."""
    lab = Lab("scenes")
    lab.up()
    try:
        site = Site(lab)
        site.begin()
        yield site
    finally:
        lab.down()
