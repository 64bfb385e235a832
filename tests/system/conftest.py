"""The package as `make deb` builds it, and the next version of it."""

import re
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest

from lab.demo.stage import Stage
from lab.hosts.machine.host import SystemdHost
from lab.setup import bytecode
from tests.conftest import ROOT

NEXT = "0.1.0+1"
BROKEN = "0.1.0+2"
PROGRAM = "usr/lib/istio-agent/lib/python3.11/dist-packages/vmagent"


@pytest.fixture(scope="session")
def package() -> Path:
    """Built if anything in it has changed."""
    return ROOT / run(ROOT / "packaging" / "deb" / "build.sh").split()[0]


@pytest.fixture(scope="session")
def next_package(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same program under the next version: what ``VERSION=... make deb`` makes, without making it all
    again.
    """
    tree = _unpacked(package, tmp_path_factory, NEXT)
    bytecode.compile_tree(tree / PROGRAM, tree / "usr/lib/istio-agent")
    return packed(tree, NEXT)


@pytest.fixture(scope="session")
def broken_package(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A version whose program does not start."""
    tree = _unpacked(package, tmp_path_factory, BROKEN)
    substitute(tree / PROGRAM / "daemon.py", r"^import asyncio$", "import asyncio as")
    for compiled in (tree / PROGRAM / "__pycache__").glob("daemon.*"):
        compiled.unlink()
    return packed(tree, BROKEN)


def _unpacked(package: Path, tmp_path_factory: pytest.TempPathFactory, version: str) -> Path:
    tree = tmp_path_factory.mktemp("another") / "tree"
    run("dpkg-deb", "--raw-extract", package, tree)
    substitute(tree / "DEBIAN" / "control", r"^Version: .*$", f"Version: {version}")
    substitute(tree / PROGRAM / "__init__.py", r"^__version__ = .*$", f'__version__ = "{version}"')
    return tree


def packed(tree: Path, version: str) -> Path:
    made = tree.with_name(f"istio-agent_{version}_amd64.deb")
    run("dpkg-deb", "--root-owner-group", "-Zzstd", "-z1", "--build", tree, made)
    return made


def run(*command: str | Path) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout
    return done.stdout


def substitute(path: Path, old: str, new: str) -> None:
    text, found = re.subn(old, new, path.read_text(), flags=re.MULTILINE)
    assert found == 1, f"{path} has {found} lines like {old}"
    path.write_text(text)


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
