"""Who goes first when memory runs out (proc(5), oom_score_adj)."""

import logging
from pathlib import Path
from typing import Final

log = logging.getLogger("memory")

_SCORE: Final = Path("/proc/self/oom_score_adj")


def give_way() -> None:
    """The unit shields Envoy, whose end costs connections. This process is no better than any other: its end
    costs a second.
    """
    try:
        if int(_SCORE.read_text()) < 0:
            _SCORE.write_text("0")
    except (OSError, ValueError) as why:
        log.warning("%s: %s; the kernel may take Envoy before the agent", _SCORE, why)
