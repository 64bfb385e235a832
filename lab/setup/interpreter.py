"""Debian's interpreter, taken along: a copy that runs where no Python is installed. Standard library only.

Owns:      which modules and shared libraries come along, and that they find each other wherever they are put.
Does not:  compile byte code (bytecode.py), know the agent's own dependencies (stage.py).
Surprise:  Debian's site.py looks for ``dist-packages`` below the prefix, and the prefix is found from where
           the executable lies. So the copy needs neither an environment variable nor a pyvenv.cfg.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

INTERPRETER: Final = Path("/usr/bin/python3").resolve()
VERSION: Final = f"python{sys.version_info.major}.{sys.version_info.minor}"
STDLIB: Final = Path(sysconfig.get_path("stdlib"))
HOME: Final = Path("lib") / VERSION
PACKAGES: Final = HOME / "dist-packages"
"""Where its site.py looks for what does not come with Python."""

LEFT_OUT: Final = frozenset((
    "__pycache__", "test", "tests", "idlelib", "lib2to3", "tkinter", "turtledemo", "turtle.py",
    "ensurepip", "venv", "distutils", "pydoc.py", "pydoc_data", "curses", "sqlite3", "dbm", "xmlrpc",
    "antigravity.py", "this.py", "sitecustomize.py", "_distutils_system_mod.py", "EXTERNALLY-MANAGED",
    "LICENSE.txt", "lib-dynload", "dist-packages", "site-packages",
))  # fmt: skip
"""Names in the standard library that a daemon never imports. Debian's sitecustomize.py is a link to /etc."""

MACHINE_MODULES: Final = frozenset((
    "_asyncio", "_contextvars", "_ctypes", "_decimal", "_json", "_multiprocessing",
    "_opcode", "_posixshmem", "_queue", "_ssl", "_typing", "_zoneinfo", "mmap", "resource", "termios",
))  # fmt: skip
"""Modules in machine code that come along. The others pull in libraries (curses, sqlite, bz2, ...) that no
code of ours reaches, or needs: hashlib has digests of its own, and _hashlib would load OpenSSL. The standard
library says ImportError and does without.
"""

C_LIBRARY: Final = re.compile(r"(libc|libm|libdl|librt|libpthread|ld-linux-x86-64)\.so\.")
"""The machine's own: the package depends on it."""

EXPAT: Final = "libexpat.so.1"
EXPAT_OBJECTS: Final = Path(sysconfig.get_config_var("LIBDIR"), "libexpat.a")


def take_along(target: Path) -> None:
    """Raises OSError or CalledProcessError. ``target`` is a tree of its own afterwards: bin/python3, lib/."""
    (target / "bin").mkdir(parents=True)
    home = target / HOME
    shutil.copytree(STDLIB, home, ignore=_left_out)
    (home / "lib-dynload").mkdir()
    (target / PACKAGES).mkdir()
    program = target / "bin" / "python3"
    shutil.copy2(INTERPRETER, program)
    modules = [_copy(module, home / "lib-dynload") for module in _machine_modules()]
    libraries = [_copy(library, target / "lib") for library in sorted(_libraries([program, *modules]))]
    _relink_expat(target / "lib" / EXPAT)
    _find(program, "$ORIGIN/../lib")
    for module in modules:
        _find(module, "$ORIGIN/../..")
    for library in libraries:
        _find(library, "$ORIGIN")


def debian_packages() -> dict[str, str]:
    """Package to version, of everything that was taken along: for the licences, and for ``Built-Using``."""
    sources = [INTERPRETER, STDLIB / "os.py", *(_machine_modules())]
    sources += sorted(_libraries([INTERPRETER, *_machine_modules()]))
    found: dict[str, str] = {}
    for name in sorted({_owner(path) for path in sources}):
        query = ["dpkg-query", "--show", "--showformat=${source:Package} ${source:Version}", name]
        source, version = subprocess.run(query, capture_output=True, text=True, check=True).stdout.split()
        found[source] = version
    return found


def copyright_of(source: str) -> str:
    """The copyright file that Debian installs with a package of that source."""
    query = ["dpkg-query", "--show", "--showformat=${source:Package} ${Package}\n"]
    rows = subprocess.run(query, capture_output=True, text=True, check=True).stdout.splitlines()
    for row in rows:
        name, package = row.split()
        path = Path("/usr/share/doc", package, "copyright")
        if name == source and path.exists():
            return path.read_text(errors="replace")
    raise FileNotFoundError(f"no copyright file of {source} below /usr/share/doc")


def _left_out(directory: str, names: list[str]) -> set[str]:
    """``test`` anywhere, as in ctypes/test; config-3.11-x86_64-linux-gnu is for building extensions."""
    return {
        name for name in names if name in LEFT_OUT or name.startswith(("config-", "_sysconfigdata__linux"))
    }


def _machine_modules() -> Iterator[Path]:
    for path in sorted((STDLIB / "lib-dynload").iterdir()):
        if path.name.split(".")[0] in MACHINE_MODULES:
            yield path


def _libraries(users: Iterable[Path]) -> set[Path]:
    """Shared libraries that these need, and what those need, as this machine's linker finds them."""
    found: set[Path] = set()
    for user in users:
        told = subprocess.run(["ldd", str(user)], capture_output=True, text=True, check=True).stdout
        for name, place in re.findall(r"^\s*(\S+) => (/\S+)", told, re.M):
            if not C_LIBRARY.match(name):
                found.add(Path(place))
    return found


def _copy(source: Path, directory: Path) -> Path:
    """Under the name by which it is asked for; the content, where that name is a link."""
    target = directory / source.name
    shutil.copyfile(source, target)
    target.chmod(0o755 if os.access(source, os.X_OK) else 0o644)
    return target


def _find(path: Path, where: str) -> None:
    """Tells the linker where the libraries of ``path`` are; a variable would tell every child, too."""
    subprocess.run(["patchelf", "--set-rpath", where, str(path)], check=True)


def _relink_expat(target: Path) -> None:
    """Debian's libexpat takes a random number from ``arc4random_buf``, which came with glibc 2.36. The
    objects it was made of are in libexpat1-dev; ``getentropy`` has the same arguments and is older.
    """
    archive = target.with_suffix(".a")
    rename = ["objcopy", "--redefine-sym", "arc4random_buf=getentropy", str(EXPAT_OBJECTS), str(archive)]
    subprocess.run(rename, check=True)
    link = ["gcc", "-shared", f"-Wl,-soname,{EXPAT}", "-Wl,--build-id=none", "-Wl,--whole-archive"]
    subprocess.run([*link, str(archive), "-Wl,--no-whole-archive", "-o", str(target)], check=True)
    archive.unlink()


def _owner(path: Path) -> str:
    """The Debian package. Since files moved from / to /usr, dpkg may know either name."""
    names = [
        str(path.resolve()),
        str(path),
        str(path).removeprefix("/usr"),
        str(path.resolve()).removeprefix("/usr"),
    ]
    for name in names:
        done = subprocess.run(["dpkg-query", "--search", name], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return done.stdout.split(":")[0]
    raise FileNotFoundError(f"no Debian package owns {path}")
