"""Reading one YAML document field by field, so that a mistake is named by file, document, key and value.

Owns:      the cursor (`Field`) every kind is parsed with, and the error it raises.
Does not:  know any kind, or open files.
Surprise:  the cursor remembers which keys were asked for. What nobody asked for is reported afterwards as not
           served here: a setting that is silently ignored looks like one that works.
"""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from lab.controlplane.hosts import WILDCARD, domain_problem
from lab.controlplane.timestamps import parse_duration

_MAX_SHOWN = 80
"""Characters of a bad value in an error message; a line of a terminal holds no more."""

_ALL = "*"
"""Stands for every key; no key of a Kubernetes document is spelt so."""


_LONGEST_NAME = 253
_OBJECT_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_DNS_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class BadDocument(ValueError):
    """A resource a person must edit. The text names file, document number, key, value and remedy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a document came from. ``number`` counts the documents of one file from 1."""

    file: str
    number: int

    def __str__(self) -> str:
        return f"{self.file}, document {self.number}"


@dataclass(frozen=True, slots=True)
class Field:
    """One value of a document with the path that leads to it."""

    place: Place
    path: str
    value: object
    _asked: set[str] = field(default_factory=set)
    """Paths somebody asked for, shared by all fields of one document."""

    def bad(self, remedy: str) -> BadDocument:
        shown = "nothing" if self.value is None else repr(self.value)
        if len(shown) > _MAX_SHOWN:
            shown = shown[:_MAX_SHOWN] + "..."
        return BadDocument(f"{self.place}: {self.path or 'the document'} is {shown}: {remedy}")

    @property
    def absent(self) -> bool:
        return self.value is None

    def __getitem__(self, key: str) -> "Field":
        """The value below ``key``; an absent key gives a field that is absent."""
        below = self._mapping().get(key)
        return self._child(self._below(key), below)

    def __contains__(self, key: str) -> bool:
        """Whether the key is there, which is not yet asking for it."""
        return key in self._mapping()

    def __iter__(self) -> Iterator["Field"]:
        """The items of a list; absent means empty."""
        if self.value is None:
            return
        if not isinstance(self.value, list):
            raise self.bad("write a list")
        for index, item in enumerate(self.value):
            yield self._child(f"{self.path}[{index}]", item)

    def names(self) -> tuple[str, ...]:
        """Of a mapping; absent means none."""
        return tuple(self._mapping())

    def text(self, default: str | None = None) -> str:
        """A string. Without a default, absent and empty are errors."""
        if self.value is None and default is not None:
            return default
        if not isinstance(self.value, str):
            raise self.bad("write a string" + (" (quote it)" if self.value is not None else ""))
        if default is None and not self.value:
            raise self.bad("write a value that is not empty")
        return self.value

    def choice(self, allowed: tuple[str, ...], default: str | None = None) -> str:
        value = self.text(default)
        if value not in allowed:
            raise self.bad(f"write one of {', '.join(allowed)}")
        return value

    def number(self, default: int | None = None, *, least: int = 0, most: int = 2**31 - 1) -> int:
        if self.value is None and default is not None:
            return default
        if not isinstance(self.value, int) or isinstance(self.value, bool) or not least <= self.value <= most:
            raise self.bad(f"write a whole number from {least} to {most}")
        return self.value

    def port(self, default: int | None = None) -> int:
        return self.number(default, least=1, most=65535)

    def flag(self, default: bool) -> bool:
        if self.value is None:
            return default
        if not isinstance(self.value, bool):
            raise self.bad("write true or false")
        return self.value

    def address(self) -> str:
        """An IPv4 or IPv6 address."""
        try:
            return str(ipaddress.ip_address(self.text()))
        except ValueError as why:
            if isinstance(why, BadDocument):
                raise
            raise self.bad("write an IP address") from why

    def subnet(self) -> str:
        """An address, or a range like 10.0.0.0/24."""
        try:
            ipaddress.ip_network(self.text(), strict=False)
        except ValueError as why:
            if isinstance(why, BadDocument):
                raise
            raise self.bad("write an IP address or a range like 10.0.0.0/24") from why
        return self.text()

    def host(self, *, wildcard: bool = False) -> str:
        """A domain name; with ``wildcard`` also one like ``*.example.com``."""
        text = self.text()
        problem = domain_problem(text, wildcard=wildcard)
        if problem:
            raise self.bad(
                f"{problem}: write a domain name" + (f", {WILDCARD} only in front" if wildcard else "")
            )
        return text

    def object_name(self) -> str:
        """What Kubernetes takes as metadata.name."""
        if len(self.text()) > _LONGEST_NAME or _OBJECT_NAME.fullmatch(self.text()) is None:
            raise self.bad(
                "write lower-case letters, digits, dashes and dots, as Kubernetes demands of a name"
            )
        return self.text()

    def dns_label(self) -> str:
        """A name of a port or a namespace."""
        if _DNS_LABEL.fullmatch(self.text()) is None:
            raise self.bad("write lower-case letters, digits and dashes, at most 63")
        return self.text()

    def duration(self) -> float | None:
        """Seconds; None when absent. istiod takes nothing below a millisecond."""
        if self.value is None:
            return None
        try:
            seconds = parse_duration(self.text())
            if self.text()[-1].isdigit():
                raise ValueError("no unit")
        except ValueError as why:
            if isinstance(why, BadDocument):
                raise
            raise self.bad("write a duration like 5s, 1m30s or 200ms") from why
        if seconds < 0.001:
            raise self.bad("must be at least 1ms")
        return seconds

    def fraction(self, *, most: float) -> float | None:
        """A number from 0 to ``most``, perhaps with a fraction; None when absent."""
        if self.value is None:
            return None
        if (
            not isinstance(self.value, int | float)
            or isinstance(self.value, bool)
            or not 0 <= self.value <= most
        ):
            raise self.bad(f"write a number from 0 to {most:g}")
        return float(self.value)

    def texts(self) -> tuple[str, ...]:
        return tuple(item.text() for item in self)

    def labels(self) -> dict[str, str]:
        """A mapping of strings to strings, in the order of the document; absent means empty."""
        return {key: self[key].text("") for key in self._mapping()}

    def ports(self) -> dict[str, int]:
        """A mapping of port names to port numbers; absent means empty."""
        return {key: self[key].port() for key in self._mapping()}

    def plain(self) -> dict[str, object]:
        """A mapping taken as it is, for parts that are only handed on."""
        self.leave_all()
        return dict(self._mapping())

    def leave(self, *keys: str) -> None:
        """These keys have no meaning here and deserve no warning."""
        for key in keys:
            self[key].leave_all()

    def leave_all(self) -> None:
        """Nothing at or below this value deserves a warning."""
        self._asked.add(self._below(_ALL))

    def unread(self) -> list[str]:
        """Paths that are in the document and that nobody asked for."""
        if self._below(_ALL) in self._asked:
            return []
        if isinstance(self.value, dict):
            below = [(self._below(str(key)), value) for key, value in self.value.items()]
        elif isinstance(self.value, list):
            below = [(f"{self.path}[{index}]", value) for index, value in enumerate(self.value)]
        else:
            return []
        strange = [path for path, _ in below if path not in self._asked]
        known = [Field(self.place, path, value, self._asked) for path, value in below if path in self._asked]
        return strange + [path for each in known for path in each.unread()]

    def _child(self, path: str, value: object) -> "Field":
        self._asked.add(path)
        return Field(self.place, path, value, self._asked)

    def _below(self, key: str) -> str:
        return f"{self.path}.{key}" if self.path else key

    def _mapping(self) -> Mapping[str, object]:
        if self.value is None:
            return {}
        if not isinstance(self.value, dict):
            raise self.bad("write a mapping of keys to values")
        if all(isinstance(key, str) for key in self.value):
            return self.value
        return {self._key(key): value for key, value in self.value.items()}

    def _key(self, key: object) -> str:
        """A number is taken as its digits, as kubectl's way from YAML to JSON does."""
        if isinstance(key, str) or (isinstance(key, int) and not isinstance(key, bool)):
            return str(key)
        raise self.bad(f"write the key {key!r} as a string (quote it)")
