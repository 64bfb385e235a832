"""The package as packaging/deb/build.sh makes it, packed for speed, and the next version of it."""

import os
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest

from lab.demo.stage import Stage
from lab.hosts.machine.host import SystemdHost
from tests.conftest import ROOT

DIST = ROOT / ".build" / "dist"
NEXT = "0.1.0+1"


def build(**settings: str) -> Path:
    """Quick where that very package is there already. What ``make deb`` makes differs in compression
    alone.
    """
    done = subprocess.run(
        [ROOT / "packaging" / "deb" / "build.sh"],
        env={**os.environ, "COMPRESSION": "zstd", "DIST": str(DIST), **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return Path(done.stdout.split()[0])


@pytest.fixture(scope="session")
def package() -> Path:
    return build()


@pytest.fixture(scope="session")
def next_package() -> Path:
    """The same program under the next version."""
    return build(VERSION=NEXT)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What the machines of a stage said lately belongs to the report of a test that failed."""
    report = yield
    stage = getattr(item, "funcargs", {}).get("stage")
    if report.failed and isinstance(stage, Stage):
        for host in stage.lab.hosts:
            if isinstance(host, SystemdHost) and host.up:
                report.sections.append((f"journal of {host.name}", host.journal("--lines=60")))
    return report
