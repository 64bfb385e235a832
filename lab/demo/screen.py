"""How a story looks on a terminal."""

import sys
import time
from typing import Final

STYLES: Final = {"command": "\033[1m{}\033[0m", "output": "    {}", "note": "  \033[2m· {}\033[0m"}
TICK: Final = "\033[32m✓\033[0m"
CROSS: Final = "\033[31m✗\033[0m"


def show(kind: str, line: str) -> None:
    print(STYLES[kind].format(line), flush=True)


class Report:
    """Titles and verdicts as they come, and a summary of all of them at the end."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._began = time.monotonic()

    def title(self, number: int, title: str) -> None:
        print(f"\n\033[1;36m{number}. {title}\033[0m", flush=True)

    def verdict(self, title: str, seconds: float, why: str) -> None:
        """``why`` empty means that the step's claims are true."""
        line = f"{CROSS if why else TICK} {title}  ({seconds:.1f} s)" + (f"\n    {why}" if why else "")
        self._lines.append(line)
        print(line, flush=True)

    def summary(self) -> None:
        print(f"\n{'─' * 80}")
        print("\n".join(self._lines))
        print(f"{time.monotonic() - self._began:.1f} s in all", flush=True)


def complain(message: str, hint: str) -> None:
    print(f"lab: {message}" + (f"\n  hint: {hint}" if hint else ""), file=sys.stderr)
