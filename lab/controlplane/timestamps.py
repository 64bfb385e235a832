"""Instants and durations the way Kubernetes and Go write them.

An instant is an int: nanoseconds since the epoch, UTC. A duration is a float: seconds.
"""

import calendar
import re
import time
from typing import Final

SECOND: Final = 1_000_000_000

_RFC3339 = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z")
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:h|ms|m|s))+")
_PART = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s)")
_UNITS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def rfc3339(instant: int) -> str:
    """Whole seconds, as metadata.creationTimestamp is written."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(instant // SECOND))


def rfc3339_nano(instant: int) -> str:
    """Go's RFC3339Nano: trailing zeros of the fraction are left out, and an empty fraction with its point."""
    fraction = f"{instant % SECOND:09d}".rstrip("0")
    return rfc3339(instant).removesuffix("Z") + (f".{fraction}Z" if fraction else "Z")


def parse_rfc3339(text: str) -> int:
    """Raises ValueError for anything but an instant in UTC."""
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a UTC instant like 2026-11-21T03:47:00.5Z")
    seconds = calendar.timegm(time.strptime(match[1], "%Y-%m-%dT%H:%M:%S"))
    return seconds * SECOND + int((match[2] or "0").ljust(9, "0"))


def parse_duration(text: str) -> float:
    """Go's notation (``24h``, ``1m30s``, ``300ms``) or a bare number of seconds. Raises ValueError."""
    if text.replace(".", "", 1).isdigit():
        return float(text)
    if _DURATION.fullmatch(text) is None:
        raise ValueError(f"{text!r} is not a duration like 5s, 1m30s or 24h")
    return sum(float(amount) * _UNITS[unit] for amount, unit in _PART.findall(text))
