"""Checking a document against a table of fields, by the rules of proto-JSON.

Owns:      the kinds of field, the two spellings of a name (drainDuration, drain_duration), what is wrong.
Does not:  know any particular message (proxyconfig.py has the tables) or file (meshfile.py has the lines).
Surprise:  null leaves a field alone; numbers may stand in quotes, text may not go without where YAML would
           read it as a number or a boolean.
"""

import difflib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from vmagent.config.model import Address, Json

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Scalar:
    """``parse`` returns the canonical proto-JSON value or raises ``Wrong``."""

    parse: Callable[[Json], Json]


@dataclass(frozen=True, slots=True)
class Message:
    """Field names in lowerCamelCase."""

    fields: Mapping[str, "Kind"]


@dataclass(frozen=True, slots=True)
class Repeated:
    of: "Kind"


@dataclass(frozen=True, slots=True)
class MapOf:
    of: "Kind"


@dataclass(frozen=True, slots=True)
class Open:
    """An object whose inside is not ours to judge."""


Kind = Scalar | Message | Repeated | MapOf | Open


class Wrong(ValueError):
    """Why a value is not what the field wants, and what to write instead."""

    def __init__(self, why: str, remedy: str) -> None:
        super().__init__(why)
        self.remedy = remedy


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    path: Path
    value: Json
    why: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Report:
    wrong: list[Finding] = field(default_factory=list)
    unknown: list[Finding] = field(default_factory=list)


def check(value: Json, kind: Kind, path: Path, report: Report) -> Json:
    """``value`` in canonical form; what is wrong or unknown is left out of it and put in ``report``."""
    match kind:
        case Scalar(parse):
            try:
                return parse(value)
            except Wrong as wrong:
                report.wrong.append(Finding(path=path, value=value, why=str(wrong), remedy=wrong.remedy))
                return None
        case Message(fields):
            return _message(value, fields, path, report)
        case Repeated(of):
            if not isinstance(value, list):
                return _refused(value, "a list", "write one - item to a line", path, report)
            checked = [check(item, of, (*path, str(at)), report) for at, item in enumerate(value)]
            return [item for item in checked if item is not None]
        case MapOf(of):
            if not isinstance(value, dict):
                return _refused(value, "keys with values", "write KEY: VALUE lines", path, report)
            return {
                key: item
                for key, text in value.items()
                if text is not None and (item := check(text, of, (*path, key), report)) is not None
            }
        case Open():
            if not isinstance(value, dict):
                return _refused(value, "keys with values", "write KEY: VALUE lines", path, report)
            return value


def _message(value: Json, fields: Mapping[str, Kind], path: Path, report: Report) -> Json:
    if not isinstance(value, dict):
        return _refused(value, "keys with values", "write KEY: VALUE lines", path, report)
    checked: dict[str, Json] = {}
    for key, inner in value.items():
        name = camel(key)
        kind = fields.get(name)
        if kind is None:
            report.unknown.append(
                Finding(path=(*path, key), value=inner, why="no such setting", remedy=nearest(key, fields))
            )
        elif name in checked:
            report.wrong.append(
                Finding(path=(*path, key), value=inner, why="set twice", remedy=f"keep one {name}")
            )
        elif inner is not None and (item := check(inner, kind, (*path, key), report)) is not None:
            checked[name] = item
    return checked


def _refused(value: Json, wanted: str, remedy: str, path: Path, report: Report) -> Json:
    report.wrong.append(
        Finding(path=path, value=value, why=f"expected {wanted}, found {kind_of(value)}", remedy=remedy)
    )
    return None


def camel(name: str) -> str:
    """``drain_duration`` and ``drainDuration`` are one field."""
    return re.sub(r"_([a-z0-9])", lambda match: match[1].upper(), name)


def nearest(key: str, known: Mapping[str, object]) -> str:
    """A remedy for a misspelt key."""
    close = difflib.get_close_matches(camel(key), known, n=1, cutoff=0.7)
    return f"did you mean {close[0]}?" if close else "remove it"


def kind_of(value: Json) -> str:
    """What YAML made of it, in words that do not give the value away."""
    match value:
        case bool():
            return "a boolean"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
        case dict():
            return "keys with values"
        case None:
            return "nothing"


# --- scalars ----------------------------------------------------------------------------------------------


def _text(value: Json) -> Json:
    if isinstance(value, bool | int | float):
        raise Wrong(f"expected text, found {kind_of(value)}", "write it in quotes")
    if not isinstance(value, str):
        raise Wrong(f"expected text, found {kind_of(value)}", "write one value in quotes")
    if any("\ud800" <= char <= "\udfff" for char in value):  # what no file, socket or program can be given
        raise Wrong("has half a character", r"write the character itself instead of \uD800 to \uDFFF")
    return value


def _boolean(value: Json) -> Json:
    if not isinstance(value, bool):
        raise Wrong(f"expected true or false, found {kind_of(value)}", "write true or false without quotes")
    return value


def _number(value: Json) -> Json:
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            pass
    elif isinstance(value, int | float) and not isinstance(value, bool):
        return value
    raise Wrong(f"expected a number, found {kind_of(value)}", "write a number")


def integer(low: int, high: int) -> Scalar:
    def parse(value: Json) -> Json:
        if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,19}", value):
            value = int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise Wrong(
                f"expected a whole number, found {kind_of(value)}", f"write a number, {low} to {high}"
            )
        if not low <= value <= high:
            raise Wrong("out of range", f"write a number, {low} to {high}")
        return value

    return Scalar(parse)


def enum(**names: int) -> Scalar:
    """By name or by number, as proto-JSON; the canonical form is the name."""
    by_number = {number: name for name, number in names.items()}

    def parse(value: Json) -> Json:
        if isinstance(value, str) and value in names:
            return value
        if isinstance(value, int) and not isinstance(value, bool) and value in by_number:
            return by_number[value]
        raise Wrong("no such choice", f"write one of {', '.join(names)}")

    return Scalar(parse)


def _duration(value: Json) -> Json:
    if not isinstance(value, str) or not re.fullmatch(r"-?[0-9]{1,12}(\.[0-9]{1,9})?s", value):
        raise Wrong(f"expected a duration, found {kind_of(value)}", "write seconds with an s, as in 45s")
    return value


def seconds(value: Json) -> float:
    """The seconds of a duration that was checked before."""
    assert isinstance(value, str)
    return float(value.removesuffix("s"))


def _address(value: Json) -> Json:
    text = _text(value)
    assert isinstance(text, str)
    try:
        Address.parse(text.replace("$(HOST_IP)", "host-ip"))
    except ValueError as why:
        raise Wrong(str(why), "write HOST:PORT, as in istiod.istio-system.svc:15012") from None
    return text


TEXT: Final = Scalar(_text)
BOOLEAN: Final = Scalar(_boolean)
NUMBER: Final = Scalar(_number)
DURATION: Final = Scalar(_duration)
ADDRESS: Final = Scalar(_address)
INT32: Final = integer(-(1 << 31), (1 << 31) - 1)
UINT32: Final = integer(0, (1 << 32) - 1)
PORT: Final = integer(1, 65535)
