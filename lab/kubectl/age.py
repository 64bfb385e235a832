"""How old something is, as kubectl says it: two units at most, and less exactly the older it is."""

import datetime
from typing import Final

UNKNOWN: Final = "<unknown>"

_MINUTE: Final = 60
_HOUR: Final = 60 * _MINUTE
_DAY: Final = 24 * _HOUR
_YEAR: Final = 365 * _DAY

_STEPS: Final = (
    # below, unit, its letter, the smaller unit that is told too, its letter
    (2 * _MINUTE, 1, "s", 0, ""),
    (10 * _MINUTE, _MINUTE, "m", 1, "s"),
    (3 * _HOUR, _MINUTE, "m", 0, ""),
    (8 * _HOUR, _HOUR, "h", _MINUTE, "m"),
    (2 * _DAY, _HOUR, "h", 0, ""),
    (8 * _DAY, _DAY, "d", _HOUR, "h"),
    (2 * _YEAR, _DAY, "d", 0, ""),
    (8 * _YEAR, _YEAR, "y", _DAY, "d"),
)


def age(created: object, now: datetime.datetime) -> str:
    """Since an RFC 3339 time; ``<unknown>`` for what is none."""
    if not isinstance(created, str):
        return UNKNOWN
    try:
        born = datetime.datetime.fromisoformat(created)
    except ValueError:
        return UNKNOWN
    return UNKNOWN if born.tzinfo is None else duration((now - born).total_seconds())


def duration(seconds: float) -> str:
    """``90s``, ``3m20s``, ``47h``, ``5d3h``; a clock may be a second off, more is ``<invalid>``."""
    whole = int(seconds)
    if whole < -1:
        return "<invalid>"
    whole = max(whole, 0)
    for below, unit, letter, smaller, small_letter in _STEPS:
        if whole < below:
            rest = whole % unit // smaller if smaller else 0
            return f"{whole // unit}{letter}" + (f"{rest}{small_letter}" if rest else "")
    return f"{whole // _YEAR}y"
