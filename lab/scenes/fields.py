"""Reads keys of a declaration, each of one type, and names what is wrong: file, key, value, remedy. Pure but
for the question whether a file is there.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lab.hosts.errors import LabError


class Fields:
    """``where`` names it in messages; files are named relative to ``directory``."""

    def __init__(self, value: object, where: str, directory: Path) -> None:
        self._where, self._directory = where, directory
        if not isinstance(value, dict):
            raise LabError(f"{where}: {value!r} is not KEY: VALUE", hint="lab/scenarios has examples")
        self._values: dict[str, Any] = value

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def wrong(self, key: str, value: object, remedy: str) -> LabError:
        return LabError(f"{self._where}: {key} is {value!r}", hint=remedy)

    def only(self, *keys: str) -> None:
        for key in self._values:
            if key not in keys:
                raise self.wrong(str(key), self._values[key], f"the keys here are {', '.join(keys)}")

    def text(self, key: str, default: str | None = None) -> str:
        value = self._values.get(key, default)
        if not isinstance(value, str) or not value:
            raise self.wrong(key, value, "write a text")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """One, or a list of them."""
        value = self._values.get(key, [])
        found = [value] if isinstance(value, str) else value
        if not isinstance(found, list) or not all(isinstance(each, str) for each in found):
            raise self.wrong(key, value, "write a text or a list of texts")
        return tuple(found)

    def texts_by_name(self, key: str) -> dict[str, str]:
        value = self._values.get(key, {})
        plain = isinstance(value, dict) and all(isinstance(each, str | int) for each in value.values())
        if not plain:
            raise self.wrong(key, value, "write NAME: TEXT")
        return {str(name): str(each) for name, each in value.items()}

    def flag(self, key: str, default: bool) -> bool:
        value = self._values.get(key, default)
        if not isinstance(value, bool):
            raise self.wrong(key, value, "write true or false")
        return value

    def number(self, key: str, default: float, *, most: float) -> float:
        value = self._values.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
            raise self.wrong(key, value, f"write a number up to {most:g}")
        return float(value)

    def file(self, key: str) -> Path | None:
        return self._file(key, self.text(key)) if key in self._values else None

    def files(self, key: str) -> tuple[Path, ...]:
        return tuple(self._file(key, text) for text in self.texts(key))

    def anything(self, key: str) -> dict[str, Any]:
        value = self._values.get(key, {})
        if not isinstance(value, dict):
            raise self.wrong(key, value, "write KEY: VALUE")
        return value

    def mapping(self, key: str) -> Iterator[tuple[str, "Fields"]]:
        for name, value in self.anything(key).items():
            yield str(name), Fields(value, f"{self._where}: {key}.{name}", self._directory)

    def each(self, key: str) -> Iterator["Fields"]:
        value = self._values.get(key)
        if not isinstance(value, list) or not value:
            raise self.wrong(key, value, "write a list")
        for number, each in enumerate(value):
            yield Fields(each, f"{self._where}: {key}[{number}]", self._directory)

    def _file(self, key: str, text: str) -> Path:
        path = (self._directory / text).resolve()
        if not path.is_file():
            raise self.wrong(key, text, f"there is no file {path}")
        return path
