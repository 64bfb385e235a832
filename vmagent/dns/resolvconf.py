"""The host's resolvers as /etc/resolv.conf names them, and noticing that the file has changed.

Owns:      the format (resolv.conf(5)), and which version of the file counts.
Does not:  ask the resolvers (upstream.py).
Surprise:  a version without a single server is ignored: DHCP clients and resolvectl write such versions on
           the way to the real one, and the resolvers of a moment ago are the best guess meanwhile.
"""

import ipaddress
import logging
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from vmagent.dns import message

log = logging.getLogger("dns")

MOST_SERVERS: Final = 3
"""As glibc (MAXNS): a fourth has never been asked by anybody."""
MOST_SEARCH: Final = 16
"""Each costs one look into the table per label of an unknown name. glibc has no limit, older ones had 6."""
MOST_TIMEOUT: Final = 30.0
MOST_ATTEMPTS: Final = 5
"""Both as glibc caps them."""
MOST_BYTES: Final = 65536
"""A longer file is not a resolv.conf; what lies beyond is not read."""
LOOK_AGAIN: Final = 1.0
"""Seconds between two looks at the file, at most one per forwarded query: an idle agent does not look at
all.
"""

Endpoint = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Server:
    family: socket.AddressFamily
    address: tuple[Any, ...]
    """As ``connect`` takes it: for IPv6 with the scope."""

    @classmethod
    def parse(cls, text: str, port: int) -> Self:
        """Raises ValueError. Never asks a name service: only numbers are addresses."""
        host, _, scope = text.partition("%")
        if ipaddress.ip_address(host).version == 4 and not scope:
            return cls(socket.AF_INET, (host, port))
        number = _scope(scope) if scope else 0
        return cls(socket.AF_INET6, (str(ipaddress.IPv6Address(host)), port, 0, number))

    @property
    def endpoint(self) -> Endpoint:
        return self.address[0], self.address[1]

    def __str__(self) -> str:
        return str(self.address[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvConf:
    servers: tuple[Server, ...] = ()
    search: tuple[bytes, ...] = ()
    """In wire form."""
    timeout: float | None = None
    """Seconds for one try; None: the file does not say."""
    attempts: int | None = None
    rotate: bool = False
    ignored: tuple[str, ...] = ()
    """What stood where an address or a domain should stand."""


def parse(text: str, *, port: int = 53) -> ResolvConf:
    """Never fails; the last of ``search`` and ``domain`` wins, unknown words are skipped, as in glibc."""
    servers: list[Server] = []
    search: list[bytes] = []
    ignored: list[str] = []
    timeout: float | None = None
    attempts: int | None = None
    rotate = False
    for line in text.splitlines():
        keyword, *words = line.split() or [""]
        match keyword:
            case "nameserver" if words:
                try:
                    servers.append(Server.parse(words[0], port))
                except ValueError:
                    ignored.append(words[0])
            case "search" | "domain":
                search = _domains(words if keyword == "search" else words[:1], ignored)
            case "options":
                for word in words:
                    name, _, value = word.partition(":")
                    if name == "timeout" and value.isdecimal():
                        timeout = min(max(float(value), 1.0), MOST_TIMEOUT)
                    elif name == "attempts" and value.isdecimal():
                        attempts = min(max(int(value), 1), MOST_ATTEMPTS)
                    rotate |= word == "rotate"
    return ResolvConf(
        servers=tuple(dict.fromkeys(servers)),
        search=tuple(dict.fromkeys(search))[:MOST_SEARCH],
        timeout=timeout,
        attempts=attempts,
        rotate=rotate,
        ignored=tuple(ignored),
    )


def usable(servers: tuple[Server, ...], own: frozenset[Endpoint]) -> tuple[Server, ...]:
    """Without ourselves: a query sent there would come back for ever."""
    return tuple(server for server in servers if server.endpoint not in own)[:MOST_SERVERS]


class ResolvConfFile:
    """The version of the file that counts now."""

    def __init__(self, path: Path, *, port: int = 53) -> None:
        self._path = path
        self._port = port
        self._seen: object = None
        self._looked = float("-inf")
        self.current = ResolvConf()

    def look(self, now: float) -> ResolvConf:
        """Reads the file again if it is another than at the last look. An unreadable file changes nothing."""
        if now - self._looked < LOOK_AGAIN:
            return self.current
        self._looked = now
        try:
            # stat follows symlinks, so that a link turned to another file is seen as well.
            found = self._path.stat()
            seen: object = (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size)
            if seen == self._seen:
                return self.current
            with self._path.open(encoding="utf-8", errors="replace") as file:
                text = file.read(MOST_BYTES)
        except OSError as error:
            if self._seen != error.errno:
                log.warning("%s: %s; the resolvers stay as they are", self._path, error.strerror)
            self._seen = error.errno
            return self.current
        self._seen = seen
        self._take(parse(text, port=self._port))
        return self.current

    def _take(self, found: ResolvConf) -> None:
        if found.ignored:
            log.warning("%s: neither address nor domain: %s", self._path, ", ".join(found.ignored))
        if not found.servers:
            log.warning("%s names no resolver; the resolvers stay as they are", self._path)
        elif found != self.current:
            log.info("%s: resolvers are %s", self._path, ", ".join(map(str, found.servers)))
            self.current = found


def _domains(words: list[str], ignored: list[str]) -> list[bytes]:
    domains = []
    for word in words:
        if word[0] in "#;":  # glibc knows no comments here, yet nobody searches in "#"
            break
        try:
            if word.rstrip("."):
                domains.append(message.encode_name(word))
        except ValueError:
            ignored.append(word)
    return domains


def _scope(text: str) -> int:
    if text.isdecimal():
        return int(text)
    try:
        return socket.if_nametoindex(text)
    except OSError:
        raise ValueError(f"there is no interface {text}") from None
