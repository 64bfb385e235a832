"""What a setting is: one row of the tables in settings.py and capture_settings.py.

Owns:      the shape of a row and the register of all rows.
Does not:  know any setting.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting(Generic[T]):
    name: str
    parse: Callable[[str], T]
    default: str
    help: str
    empty_counts: bool = False
    """``NAME=''`` is an answer, not the same as leaving the line out."""


SETTINGS: dict[str, Setting[Any]] = {}


def row(name: str, parse: Callable[[str], T], default: str, help: str, *, empty: bool = False) -> Setting[T]:
    """One more row; its name must be new."""
    assert name not in SETTINGS
    setting = Setting(name=name, parse=parse, default=default, help=help, empty_counts=empty)
    SETTINGS[name] = setting
    return setting
