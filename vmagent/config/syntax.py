"""How one environment value is spelt: each parser returns the typed value or raises ValueError.

Owns:      Go's spelling of booleans and durations, ports, ratios, names, JSON labels.
Does not:  know which setting uses which (settings.py).
Surprise:  the message of the ValueError is a remedy, ``write ...``: that is what the operator needs.
"""

import ipaddress
import json
import re
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import TypeVar

from vmagent.config.model import Address, Json, ScrapeTarget

E = TypeVar("E", bound=str)

_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PIECE = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_DOMAIN = re.compile(r"[a-z0-9]([-a-z0-9._]{0,253}[a-z0-9])?")
_LEVEL = re.compile(r"[A-Za-z0-9_.:,-]+")


def text(value: str) -> str:
    return value


def boolean(value: str) -> bool:
    if value in _TRUE or value in _FALSE:
        return value in _TRUE
    raise ValueError("write true or false")


def duration(value: str) -> float:
    """Go syntax, as ``1h30m``; seconds."""
    total, at = 0.0, 0
    while match := _PIECE.match(value, at):
        total += float(match[1]) * _UNITS[match[2]]
        at = match.end()
    if value == "0":
        return 0.0
    if not at or at != len(value):
        raise ValueError("write a duration with its unit, as in 24h, 1h30m, 5s or 100ms")
    return total


def positive_duration(value: str) -> float:
    if (seconds := duration(value)) <= 0:
        raise ValueError("write a duration above zero, as in 24h, 5s or 100ms")
    return seconds


def integer(low: int, high: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not re.fullmatch(r"[0-9]{1,10}", value) or not low <= int(value) <= high:
            raise ValueError(f"write a whole number from {low} to {high}")
        return int(value)

    return parse


port = integer(1, 65535)
port_or_off = integer(0, 65535)


def ratio(value: str) -> float:
    """Between 0 and 1, both left out: a certificate is renewed neither at birth nor at death."""
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 < number < 1:
        raise ValueError("write a number between 0 and 1, as in 0.5")
    return number


def jitter(value: str) -> float:
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0 <= number < 1:
        raise ValueError("write a number from 0 to below 1, as in 0.01")
    return number


def choice(*allowed: E) -> Callable[[str], E]:
    def parse(value: str) -> E:
        for word in allowed:
            if word == value:
                return word
        raise ValueError(f"write one of {', '.join(word or 'nothing' for word in allowed)}")

    return parse


def label(value: str) -> str:
    """A Kubernetes name of one label: a namespace."""
    if not _LABEL.fullmatch(value):
        raise ValueError("write lower-case letters, digits and dashes, at most 63")
    return value


def domain(value: str) -> str:
    """A service account, a trust domain: labels with dots between them."""
    if not _DOMAIN.fullmatch(value):
        raise ValueError("write lower-case letters, digits, dashes and dots")
    return value


def ip(value: str) -> str:
    """An address literal in canonical form."""
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError("write an IPv4 or IPv6 address") from None


def address(value: str) -> Address:
    try:
        return Address.parse(value)
    except ValueError:
        raise ValueError("write HOST:PORT, as in istiod.istio-system.svc:15012") from None


def file_name(value: str) -> str:
    if value in ("", ".", "..") or "/" in value:
        raise ValueError("write a file name without a directory")
    return value


def absolute(value: str) -> str:
    if not PurePosixPath(value).is_absolute():
        raise ValueError("write a path that begins with /")
    return value


def envoy_levels(value: str) -> str:
    """``warning`` or ``info,upstream:debug``; Envoy judges the names of components."""
    levels = {"trace", "debug", "info", "warning", "warn", "error", "critical", "off"}
    for item in value.split(","):
        component, _, level = item.rpartition(":")
        if level not in levels or ":" in component:
            raise ValueError(f"write LEVEL or LEVEL,COMPONENT:LEVEL with one of {', '.join(sorted(levels))}")
    return value


def json_object(value: str) -> dict[str, Json]:
    try:
        found = json.loads(value)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ValueError("""write a JSON object in single quotes, as in '{"app":"nginx"}'""")
    return found


def labels(value: str) -> dict[str, str]:
    found = json_object(value)
    if any(not isinstance(item, str) for item in found.values()):
        raise ValueError("""write text for every label, as in '{"version":"1"}'""")
    return {key: str(item) for key, item in found.items()}


def json_list(value: str) -> str:
    try:
        found = json.loads(value)
    except ValueError:
        found = None
    if not isinstance(found, list):
        raise ValueError("write a JSON list in single quotes")
    return value


RESERVED = frozenset({15000, 15001, 15004, 15006, 15008, 15020, 15021, 15053, 15090})
"""Ports of the agent and of Envoy: scraping one as the application's would go in circles."""


def scrape(value: str) -> tuple[ScrapeTarget, ...]:
    """ISTIO_PROMETHEUS_ANNOTATIONS: ``{"scrape","port","path","targets":[{"port","path"}]}``, all text."""
    found = json_object(value)
    if found.get("scrape") == "false":
        return ()
    listed = found.get("targets")
    wanted = listed if isinstance(listed, list) and listed else [found]
    targets: list[ScrapeTarget] = []
    for item in wanted:
        said = item if isinstance(item, dict) else {}
        number = str(said.get("port") or "80")
        if (
            not number.isascii()
            or not number.isdigit()
            or not 0 < int(number) < 65536
            or int(number) in RESERVED
        ):
            raise ValueError('write a port of the application, as in \'{"scrape":"true","port":"8080"}\'')
        targets.append(ScrapeTarget(port=int(number), path=str(said.get("path") or "/metrics")))
    return tuple(targets)
