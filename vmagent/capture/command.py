"""Runs the host's netfilter tools: the one place of this room that starts them.

Every call is bounded, the environment is empty but for a C locale, and input goes through a pipe: no
temporary file for SELinux to refuse, nothing of a caller's PATH or loader variables for a privileged tool
to obey.
"""

import logging
import subprocess
from collections.abc import Sequence
from typing import Final

from vmagent.errors import Unavailable

log = logging.getLogger("capture")

PATIENCE: Final = 40.0
"""Seconds for one tool. Longer than the 30 s that we wait for the xtables lock: below that, waiting is not
failing.
"""

_ENVIRONMENT: Final = {"LC_ALL": "C", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


def run(argv: Sequence[str], *, text: str = "") -> str:
    """Standard output. Raises Unavailable with the tool's own words if it fails, is missing, or takes too
    long.
    """
    try:
        done = subprocess.run(
            argv,
            input=text,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            env=_ENVIRONMENT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{argv[0]} did not finish within {PATIENCE:g} s") from None
    except OSError as error:
        raise Unavailable(
            f"cannot run {argv[0]}: {error.strerror}", hint="is iptables still installed?"
        ) from error
    if done.returncode != 0:
        raise Unavailable(f"{argv[0]} exited with {done.returncode}: {_first_lines(done.stderr)}")
    return done.stdout


def _first_lines(text: str, most: int = 3) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "; ".join(lines[:most]) or "it said nothing"
