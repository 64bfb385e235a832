"""The package as `make deb` builds it, and its content laid out."""

import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT

BUILD = ROOT / "packaging" / "deb" / "build.sh"


@pytest.fixture(scope="session")
def deb() -> Path:
    """Built if anything in it has changed."""
    told = subprocess.run([BUILD], check=True, capture_output=True, text=True).stdout
    return ROOT / told.split()[0]


@pytest.fixture(scope="session")
def tree(deb: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As it will lie on a machine; ``DEBIAN`` holds the maintainer scripts."""
    target = tmp_path_factory.mktemp("package") / "tree"
    subprocess.run(["dpkg-deb", "--raw-extract", deb, target], check=True)
    return target
