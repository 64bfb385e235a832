"""What makes a whole env file unreadable, before any grammar.

Standard library only: the capture process reads these files, too.
"""

import re
import shlex
from pathlib import Path

from vmagent.config.problem import Problem

LARGEST = 1 << 20
"""Bytes: a thousand times what istioctl writes. Beyond it somebody copied the wrong file."""


def find(data: bytes, path: Path) -> Problem | None:
    """The first of it, with its line and remedy."""

    def problem(offset: int, why: str, remedy: str) -> Problem:
        line = data.count(b"\n", 0, offset) + 1
        return Problem(where=f"{path}:{line}", key=_key_at(data, offset), value=None, why=why, remedy=remedy)

    if len(data) > LARGEST:
        return problem(0, f"{len(data)} bytes are too many for an env file", "copy the right file here")
    if data.startswith(b"\xef\xbb\xbf"):
        return problem(
            0, "starts with a byte order mark", f"sed -i '1s/^\\xEF\\xBB\\xBF//' {shlex.quote(str(path))}"
        )
    if (offset := data.find(b"\r")) >= 0:
        return problem(offset, "Windows line end", f"sed -i 's/\\r$//' {shlex.quote(str(path))}")
    if (offset := data.find(b"\0")) >= 0:
        return problem(offset, "a NUL byte, so not a text file", "copy the file again")
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return problem(error.start, f"byte 0x{data[error.start]:02x} is not UTF-8", "save the file as UTF-8")
    return None


def _key_at(data: bytes, offset: int) -> str:
    start = data.rfind(b"\n", 0, offset) + 1
    match = re.match(rb"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=", data[start:offset])
    return match[1].decode() if match else ""
