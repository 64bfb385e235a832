"""What the kernel says about this process. Reads /proc; keeps nothing."""

import os
import resource
import threading
from pathlib import Path
from typing import Final

from vmagent.status.catalogue import ProcessReadings

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_TICKS: Final = os.sysconf("SC_CLK_TCK")

_BIRTH: Final = 19
"""Field of /proc/PID/stat, counted from the one after the name: ticks from boot to birth."""


def read(proc: Path = Path("/proc")) -> ProcessReadings:
    """Raises OSError if there is no /proc."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    virtual, resident = (proc / "self/statm").read_text().split()[:2]
    return ProcessReadings(
        cpu_seconds=used.ru_utime + used.ru_stime,
        resident_bytes=int(resident) * _PAGE,
        virtual_bytes=int(virtual) * _PAGE,
        open_files=len(os.listdir(proc / "self/fd")) - 1,  # one of them is this look
        most_files=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        started=_started(proc),
        threads=threading.active_count(),
    )


def _started(proc: Path) -> float | None:
    for line in (proc / "stat").read_text().splitlines():
        if line.startswith("btime "):
            after_name = (proc / "self/stat").read_text().rpartition(")")[2].split()
            return int(line.split()[1]) + int(after_name[_BIRTH]) / _TICKS
    return None
