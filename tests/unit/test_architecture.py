"""The drawing in ARCHITECTURE.md as failing tests: import direction, one door per effect, sizes."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

EVERYWHERE = {"errors", "__version__"}
MAY_IMPORT = {
    "errors": set(),
    "runtime": {"errors"},
    "config": {"errors", "runtime"},
    "identity": {"runtime", "config", "_pb"},
    "xds": {"runtime", "config", "identity", "_pb"},
    "sds": {"runtime", "config", "identity", "xds", "_pb"},
    "dns": {"runtime", "config", "identity", "xds", "_pb"},
    "health": {"runtime", "config", "identity", "xds", "_pb"},
    "envoy": {"runtime"},
    "capture": {"runtime", "config"},
    "status": {"runtime"},
}
"""What a package may import beside itself and ``errors``; agent.py, cli and __main__ may import
everything.
"""

ONE_DOOR = {
    "click": ("vmagent/cli/",),
    "cryptography": ("vmagent/identity/signer.py", "vmagent/identity/judgement.py"),
    "dnslib": ("vmagent/dns/wire.py",),
    "iptc": ("vmagent/capture/backend_legacy.py",),
    "psutil": ("vmagent/envoy/process.py",),
    "yaml": ("vmagent/config/", "vmagent/envoy/overlay.py"),
}

EFFECT_DOORS = {
    "subprocess": ("vmagent/capture/command.py", "vmagent/capture/attempt.py"),
    "asyncio.create_subprocess_exec": (
        "vmagent/envoy/launch.py",
        "vmagent/health/command.py",
        "vmagent/identity/keys.py",
        "vmagent/runtime/again.py",
    ),
    "os.environ": (
        "vmagent/config/",
        "vmagent/__main__.py",
        "vmagent/cli/proxy.py",
    ),
    "grpc.ssl_channel_credentials": ("vmagent/identity/channel.py",),
    "time.time": ("vmagent/runtime/clock.py", "vmagent/identity/signer.py"),
    "time.sleep": ("vmagent/cli/wait.py", "vmagent/capture/timing.py", "vmagent/runtime/files.py"),
    "os.fork": ("vmagent/capture/backend_legacy.py", "vmagent/envoy/launcher.py"),
    "threading.Thread": ("vmagent/runtime/lifecycle.py",),
    "asyncio.create_task": (),
    "tempfile": ("vmagent/runtime/files.py",),
    "print": (),
    "sys.exit": ("vmagent/__main__.py",),
}
"""Whose use is an effect, and the places that may have it. The short-lived signer has a clock of its own; the
capture process starts programs by itself, because it may not load asyncio."""

LONGEST_MODULE = 300
LONGEST_FUNCTION = 45

MODULES = sorted(
    path for room in ("vmagent", "lab") for path in (ROOT / room).rglob("*.py") if "_pb" not in path.parts
)


def names(path: Path, *, at_start: bool = False) -> Iterator[str]:
    """What a module imports; ``at_start``: only what its own import imports, not what its functions do."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    tree = ast.parse(path.read_text(), str(path))
    for node in tree.body if at_start else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            stem = ".".join(filter(None, (base, node.module)))
            yield from (f"{stem}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_follow_the_drawing(path: Path) -> None:
    where = path.relative_to(ROOT)
    side, room = where.parts[0], where.parts[1].removesuffix(".py")
    other = "lab" if side == "vmagent" else "vmagent"
    for name in names(path):
        head, *rest = name.split(".")
        assert head not in ("tests", "bench", other), f"{where} imports {name}"
        if side == "vmagent" and head == "vmagent" and rest and room in MAY_IMPORT:
            allowed = MAY_IMPORT[room] | EVERYWHERE | {room}
            assert rest[0] in allowed, f"{where} must not import {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_library_has_one_door(path: Path) -> None:
    where = str(path.relative_to(ROOT))
    for name in names(path):
        doors = ONE_DOOR.get(name.split(".")[0])
        if doors and where.startswith("vmagent/"):
            assert where.startswith(doors), f"{where} imports {name}; only {', '.join(doors)} may"


def uses(path: Path) -> Iterator[str]:
    """``module`` or ``module.name`` for each import and each attribute or call that is written out."""
    yield from names(path)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield f"{node.value.id}.{node.attr}"
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield node.func.id


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_effect_has_its_doors(path: Path) -> None:
    where = str(path.relative_to(ROOT))
    for used in uses(path):
        doors = EFFECT_DOORS.get(used)
        if doors is not None and where.startswith("vmagent/"):
            assert where.startswith(doors), f"{where} uses {used}; only {', '.join(doors) or 'nobody'} may"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_modules_and_functions_stay_short(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) <= LONGEST_MODULE, f"{path.name}: a room too many?"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno:
            length = node.end_lineno - node.lineno + 1
            assert length <= LONGEST_FUNCTION, f"{path.name}: {node.name} has {length} lines"


def test_modules_of_tests_and_benchmarks_stay_as_short() -> None:
    """Modules alone: a story may be one long function."""
    paths = (path for room in ("tests", "bench") for path in (ROOT / room).rglob("*.py"))
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in paths}
    assert {where: length for where, length in lengths.items() if length > LONGEST_MODULE} == {}


def test_the_long_lived_capture_process_starts_with_the_standard_library_only() -> None:
    """python-iptables is imported by the short-lived child that uses it (backend_legacy.py)."""
    seen: set[Path] = set()
    todo = [ROOT / "vmagent/capture/hold.py"]
    while todo:
        path = todo.pop()
        if path in seen or not path.is_file():
            continue
        seen.add(path)
        for name in names(path, at_start=True):
            head, *rest = name.split(".")
            assert head not in {
                "click",
                "grpc",
                "yaml",
                "google",
                "psutil",
                "cryptography",
                "dnslib",
                "iptc",
            }, f"{path.relative_to(ROOT)} imports {name}"
            if head == "vmagent":
                for depth in range(1, len(rest) + 1):
                    stem = ROOT.joinpath("vmagent", *rest[:depth])
                    todo += [stem.with_suffix(".py"), stem / "__init__.py"]
