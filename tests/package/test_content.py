"""What is inside runs where it will lie, on machines that are older than the one it was built on."""

import re
import subprocess
from pathlib import Path

import pytest

HOME = Path("usr/lib/istio-agent")
OLDEST = (2, 35)
"""glibc of Ubuntu 22.04."""

_EVERY_MODULE = """
import importlib, pkgutil, sys, vmagent
for module in pkgutil.walk_packages(vmagent.__path__, "vmagent."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
print(*sys.path, *sorted({getattr(module, "__file__", None) or "" for module in sys.modules.values()}))
"""


@pytest.fixture(scope="module")
def programs(tree: Path) -> list[Path]:
    found = [
        path for path in (tree / HOME).rglob("*") if path.is_file() and path.read_bytes()[:4] == b"\x7fELF"
    ]
    assert len(found) > 20
    return found


def test_nothing_needs_a_newer_c_library(programs: list[Path]) -> None:
    for program in programs:
        told = subprocess.run(["objdump", "-T", program], capture_output=True, text=True, check=True).stdout
        for major, minor in re.findall(r"GLIBC_(\d+)\.(\d+)", told):
            assert (int(major), int(minor)) <= OLDEST, program


def test_no_library_comes_from_elsewhere_but_the_c_and_cpp_libraries(
    tree: Path, programs: list[Path]
) -> None:
    for program in programs:
        told = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout
        for name, place in re.findall(r"^\s*(\S+) => (\S+)", told, re.M):
            assert place != "not", f"{program} misses {name}"
            own = Path(place).resolve().is_relative_to(tree)
            machine = re.match(r"lib(c|m|dl|rt|pthread|stdc\+\+|gcc_s)\.so", name)
            assert own or machine, f"{program} takes {place}"


def test_every_module_of_the_agent_is_imported_by_the_interpreter_inside(tree: Path) -> None:
    told = subprocess.run(
        [tree / HOME / "bin" / "python3", "-I", "-c", _EVERY_MODULE],
        capture_output=True, text=True, check=True, env={},
    ).stdout  # fmt: skip
    for place in told.split():
        assert Path(place).is_relative_to(tree) or place in ("frozen", "built-in"), place


def test_all_python_is_compiled_for_its_place_and_nothing_else_is_there(tree: Path) -> None:
    for source in (tree / HOME).rglob("*.py"):
        compiled = source.parent / "__pycache__" / f"{source.stem}.cpython-311.pyc"
        assert compiled.exists(), source
        flags = int.from_bytes(compiled.read_bytes()[4:8], "little")
        assert flags == 1, f"{compiled} is looked at again on each start"
    text = (
        tree / HOME / "lib/python3.11/dist-packages/vmagent/__pycache__/daemon.cpython-311.pyc"
    ).read_bytes()
    assert b"/usr/lib/istio-agent/lib/python3.11/dist-packages/vmagent/daemon.py" in text
    assert not list(tree.rglob("*.proto"))
    assert not (tree / HOME / "lib/python3.11/dist-packages/lab").exists()


def test_everybody_may_read_it_and_only_root_may_write(tree: Path) -> None:
    for path in (tree / HOME).rglob("*"):
        if not path.is_symlink():
            wanted = 0o755 if path.is_dir() or path.parent.name == "bin" else 0o644
            assert path.stat().st_mode & 0o7777 == wanted, path
