"""Byte code that is the same wherever and whenever it is made. Standard library only.

Owns:      how sources are compiled: with the places where they will lie, and never looked at again.
Surprise:  an ordinary .pyc holds the time of its source, so that two builds differ, and Python looks at the
           source on each start. These hold a hash that nobody checks.
"""

import os
import py_compile
import subprocess
import sys
from pathlib import Path
from typing import Final

INSTALLED: Final = Path("/usr/lib/istio-agent")
"""Where the tree will be: tracebacks name this place."""

_MODE: Final = py_compile.PycInvalidationMode.UNCHECKED_HASH


def compile_file(path: Path, root: Path) -> None:
    """``root`` is what will lie at INSTALLED. Raises PyCompileError."""
    py_compile.compile(
        str(path), dfile=str(INSTALLED / path.relative_to(root)), doraise=True, invalidation_mode=_MODE
    )


def compile_tree(directory: Path, root: Path) -> None:
    """Everything below ``directory``, one file after the other in a fresh process: what else a process has
    seen, and in which order its sets are, goes into byte code. Raises CalledProcessError.
    """
    command = [
        sys.executable, "-s", "-P", "-m", "compileall", "-q", "-f", "-j", "1",
        "--invalidation-mode", "unchecked-hash", "-s", str(root), "-p", str(INSTALLED), str(directory),
    ]  # fmt: skip
    subprocess.run(command, check=True, env={"PATH": os.defpath, "PYTHONHASHSEED": "0"})


def byte_code(path: Path) -> Path:
    return path.parent / "__pycache__" / f"{path.stem}.{sys.implementation.cache_tag}.pyc"
