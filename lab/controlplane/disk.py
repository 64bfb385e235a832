"""Files this control plane writes: whole or not at all, with an explicit mode.

Its counterpart in the agent is not used on purpose: the two ends of the wire share no code.
"""

import os
import tempfile
from pathlib import Path


def write(path: Path, data: bytes, *, mode: int) -> None:
    """Readers see the old file or the new one; ``mode`` holds from the first byte on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(prefix=f".{path.name}.", dir=path.parent, delete=False) as file:
        os.fchmod(file.fileno(), mode)
        file.write(data)
    Path(file.name).replace(path)
