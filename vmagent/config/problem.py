"""One thing that is wrong with what we were told, as the one line an operator reads.

Owns:      the shape of that line, and which values are secret.
Does not:  know files or settings. Standard library only: the capture process uses it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from vmagent.errors import Misconfigured

_SECRET = re.compile(
    r"^(XDS|CA)_HEADER_|PASSWORD|PASSWD|CREDENTIALS?$|(^|_)TOKEN$|SECRET(_KEY)?$|accessToken$|PRIVATE_KEY$",
    re.I,
)

LONGEST = 120
"""Characters of a value worth quoting: a line of a terminal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """``where`` is ``PATH:LINE`` or the word ``environment``; ``remedy`` tells what to write instead."""

    where: str
    key: str
    value: str | None
    why: str
    remedy: str

    def __str__(self) -> str:
        what = self.key if self.value is None else f"{self.key}={quoted(self.key, self.value)}"
        return f"{self.where}: {what}{': ' if what else ''}{self.why}; {self.remedy}"


def is_secret(key: str) -> bool:
    """Whether the value of this key must not be shown to anybody."""
    return _SECRET.search(key) is not None


def quoted(key: str, value: str) -> str:
    """``value`` fit for a message: hidden if secret, one line, not too long."""
    if is_secret(key):
        return "(hidden)"
    return repr(value if len(value) <= LONGEST else value[: LONGEST - 1] + "…")


def misconfigured(problems: Sequence[Problem]) -> Misconfigured:
    """All of them in one error: one line each."""
    if len(problems) == 1:
        return Misconfigured(str(problems[0]), hint="then check with: vmagent config check")
    lines = "".join(f"\n  {problem}" for problem in problems)
    return Misconfigured(
        f"{len(problems)} things are wrong with the configuration:{lines}",
        hint="then check with: vmagent config check",
    )
