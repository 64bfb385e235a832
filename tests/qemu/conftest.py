"""The package for a machine that is emulated."""

from pathlib import Path

import pytest

from tests.system.conftest import package, packed, pytest_runtest_makereport, run

__all__ = ["light_package", "package", "pytest_runtest_makereport"]


@pytest.fixture(scope="session")
def light_package(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same files, packed less tightly: unpacking xz takes an emulated processor a minute."""
    tree = tmp_path_factory.mktemp("light") / "tree"
    run("dpkg-deb", "--raw-extract", package, tree)
    return packed(tree, package.name.split("_")[1])
