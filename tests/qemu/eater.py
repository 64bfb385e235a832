"""Eats memory until the kernel has ended somebody of its control group. A program for a machine: standard
library only.

    python3 eater.py FILE

FILE is the group's memory.events. It is not ended itself (proc(5), oom_score_adj): another process of the
group has to be.
"""

import sys
from pathlib import Path

BITE = 1 << 16
"""Bytes. Small, so that it stops before a second one is ended."""


def kills(file: Path) -> int:
    return next(
        int(line.split()[1]) for line in file.read_text().splitlines() if line.startswith("oom_kill ")
    )


def main(file: Path) -> None:
    Path("/proc/self/oom_score_adj").write_text("-999")
    before, eaten = kills(file), []
    while kills(file) == before:
        eaten.append(b"\1" * BITE)


main(Path(sys.argv[1]))
