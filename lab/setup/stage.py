"""Stages .build/agent: what the package puts to /usr/lib/istio-agent. Standard library only.

Owns:      the virtual environment of the agent's own dependencies (hashed, byte-compiled), the package beside
           them, Envoy's binary; readable by everybody.
Does not:  install anything on the machine.

The dependencies are built again when agent.lock changes; the package is compared file by file, in a few
milliseconds.
"""

import hashlib
import os
import py_compile
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
BUILD: Final = ROOT / ".build"
AGENT: Final = BUILD / "agent"
LOCK: Final = ROOT / "requirements" / "agent.lock"
STAMP: Final = AGENT / ".lock"
INTERPRETER: Final = "/usr/bin/python3"
SITE: Final = Path("lib") / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
INSTALLED: Final = Path("/usr/lib/istio-agent")
"""Where it will be: tracebacks name this place."""


def main() -> None:
    os.umask(0o022)
    if not STAMP.exists() or STAMP.read_text() != wanted():
        build_dependencies()
    changed = copy_package(ROOT / "vmagent", AGENT / SITE / "vmagent")
    place_envoy()
    print(f"    agent staged in {AGENT.relative_to(ROOT)} ({changed} files changed)")


def wanted() -> str:
    """What the dependencies were made from."""
    interpreter = Path(INTERPRETER).resolve()
    return f"{interpreter} {sys.version.split()[0]} {hashlib.sha256(LOCK.read_bytes()).hexdigest()}\n"


def build_dependencies() -> None:
    print("    dependencies of the agent (requirements/agent.lock)", flush=True)
    wheels, fresh = BUILD / "wheels", BUILD / "agent.new"
    for path in (wheels, fresh):
        shutil.rmtree(path, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    # python-iptables comes as source: it is built with the setuptools of dev.lock, not with whatever is
    # newest.
    fetch = [
        "wheel",
        "--require-hashes",
        "--no-build-isolation",
        "--requirement",
        str(LOCK),
        "--wheel-dir",
        str(wheels),
    ]
    subprocess.run([*pip, *fetch], check=True)
    subprocess.run([INTERPRETER, "-m", "venv", "--without-pip", str(fresh)], check=True)
    install = ["install", "--no-index", "--no-deps", "--compile", *map(str, sorted(wheels.glob("*.whl")))]
    subprocess.run([*pip, "--python", str(fresh / "bin" / "python3"), *install], check=True)
    for program in (fresh / "bin").iterdir():
        if not program.name.startswith("python"):  # what other packages put there is nobody's command here
            program.unlink()
    (fresh / STAMP.name).write_text(wanted())
    readable(fresh)
    move_into_place(fresh)


def move_into_place(fresh: Path) -> None:
    """The directory itself stays: it is mounted in the hosts of a lab that stands."""
    AGENT.mkdir(exist_ok=True)
    for old in AGENT.iterdir():
        if old.is_dir() and not old.is_symlink():
            shutil.rmtree(old)
        else:
            old.unlink()
    for new in fresh.iterdir():
        new.rename(AGENT / new.name)
    fresh.rmdir()


def readable(tree: Path) -> None:
    for directory, _, names in os.walk(tree):
        Path(directory).chmod(0o755)
        for name in names:
            path = Path(directory, name)
            if not path.is_symlink():
                path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)


def copy_package(source: Path, target: Path) -> int:
    """Makes ``target`` equal to ``source``, byte code included; how many files it had to touch."""
    changed = 0
    wanted_files = {
        path.relative_to(source) for path in source.rglob("*") if path.is_file() and shipped(path)
    }
    for relative in sorted(wanted_files):
        changed += copy_file(source / relative, target / relative)
    for path in target.rglob("*.*"):
        if path.is_file() and path.suffix != ".pyc" and path.relative_to(target) not in wanted_files:
            path.unlink()
            byte_code(path).unlink(missing_ok=True)
            changed += 1
    for path in sorted(target.rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    return changed


def shipped(path: Path) -> bool:
    return path.suffix in (".py", ".typed") and "__pycache__" not in path.parts


def copy_file(source: Path, target: Path) -> bool:
    """A reader sees the old file or the new one: hosts may be running from here."""
    there, here = source.stat(), target.stat() if target.exists() else None
    compiled = source.suffix != ".py" or byte_code(target).exists()
    if here and compiled and (here.st_size, here.st_mtime_ns) == (there.st_size, there.st_mtime_ns):
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    half = target.with_name(f".{target.name}.new")
    shutil.copyfile(source, half)
    shutil.copystat(source, half)
    half.chmod(0o644)
    half.rename(target)
    if source.suffix == ".py":
        py_compile.compile(str(target), dfile=str(INSTALLED / target.relative_to(AGENT)), doraise=True)
    return True


def byte_code(path: Path) -> Path:
    return path.parent / "__pycache__" / f"{path.stem}.{sys.implementation.cache_tag}.pyc"


def place_envoy() -> None:
    """A second name for the file that pip unpacked (107 MB); a copy only where the file system knows no such
    thing.
    """
    source = Path(sys.prefix) / SITE / "envoy" / "_bin" / "envoy"
    target = AGENT / "bin" / "envoy"
    if target.exists() and (
        target.samefile(source) or target.stat().st_mtime_ns == source.stat().st_mtime_ns
    ):
        return
    target.unlink(missing_ok=True)
    source.chmod(0o755)
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copy2(source, target)


if __name__ == "__main__":
    main()
