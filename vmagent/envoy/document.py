"""Typed reads of a plain JSON document. Absent is empty; a value of another type is Misconfigured.

The mesh file has been checked before it comes here; annotations and node metadata have not.
"""

import re
from collections.abc import Mapping

from vmagent.envoy.config import Json
from vmagent.errors import Misconfigured

_GO_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_GO_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:h|ms|m|s|us|µs|ns))+")
_GO_PART = re.compile(r"(\d+(?:\.\d+)?)(h|ms|m|s|us|µs|ns)")


def section(document: Mapping[str, Json], *keys: str) -> Mapping[str, Json]:
    """The object below ``keys``, ``{}`` if any of them is absent."""
    for key in keys:
        value = document.get(key)
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise _wrong(key, value, "an object")
        document = value
    return document


def has(document: Mapping[str, Json], *keys: str) -> bool:
    """Whether the last of ``keys`` is there, be it as an empty object."""
    return keys[-1] in section(document, *keys[:-1])


def text(document: Mapping[str, Json], key: str) -> str:
    value = document.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise _wrong(key, value, "a text")
    return value


def texts(document: Mapping[str, Json], key: str) -> list[str]:
    value = document.get(key)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _wrong(key, value, "a list of texts")
    return [item for item in value if isinstance(item, str)]


def number(document: Mapping[str, Json], key: str) -> int:
    value = document.get(key)
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int | str) or not str(value).isdigit():
        raise _wrong(key, value, "a whole number")
    return int(value)


def seconds(value: str, *, key: str) -> float:
    """A duration as Go and proto-JSON write it: ``45s``, ``1m30s``, ``500ms``."""
    if not _GO_DURATION.fullmatch(value):
        raise _wrong(key, value, "a duration such as 45s")
    return sum(float(count) * _GO_UNITS[unit] for count, unit in _GO_PART.findall(value))


def proto_duration(value: float) -> str:
    """Seconds as Envoy's JSON reader wants them."""
    return f"{value:.9f}".rstrip("0").rstrip(".") + "s"


def _wrong(key: str, value: Json, wanted: str) -> Misconfigured:
    return Misconfigured(
        f"proxy configuration: {key}: {value!r} is not {wanted}", hint=f"correct {key} in the mesh file"
    )
