"""Whether another machine of the network has an address of this one: the mesh would take both for one.

Owns:      asking for our own addresses by ARP, as RFC 5227 does it, and the file that says what came of it.
Does not:  know which address is registered, or do anything about it: a person must.
Surprise:  of IPv6 the kernel finds out by itself. Of IPv4 it does not look, and neither istiod nor a gateway
           tells: who wants to know must ask, with a packet socket, which this process alone may open.
           Only answers count. Questions in our name are what some switches send to learn who is there.
"""

import contextlib
import fcntl
import json
import logging
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vmagent.runtime import files

log = logging.getLogger("capture")

FILE: Final = "neighbours"
LARGEST: Final = 1 << 16

LOOK: Final = 5.0
"""Seconds between looks at our own addresses."""
AGAIN: Final = 300.0
"""Seconds until they are asked for again, although they are the same ones: somebody may have come."""
ANSWER: Final = 2.0
"""Seconds for an answer; the question is repeated meanwhile, as often as this process looks around."""

_SIOCGIFFLAGS, _SIOCGIFADDR, _SIOCGIFHWADDR = 0x8913, 0x8915, 0x8927
_UP, _LOOPBACK, _NOARP = 0x1, 0x8, 0x80
_ETHERNET: Final = 1
_ARP: Final = 0x0806
_REQUEST, _REPLY = 1, 2
_FRAME: Final = struct.Struct("!6s6sHHHBBH6s4s6s4s")
_EVERYBODY, _NOBODY, _NO_ADDRESS = b"\xff" * 6, bytes(6), bytes(4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """An interface that speaks ARP, and its first address; others may be meant to wander (keepalived's)."""

    name: str
    mac: bytes
    address: bytes


def question(card: Card) -> bytes:
    """In nobody's name, so that no neighbour learns a wrong address from it."""
    return _FRAME.pack(
        _EVERYBODY, card.mac, _ARP, _ETHERNET, 0x0800, 6, 4, _REQUEST,
        card.mac, _NO_ADDRESS, _NOBODY, card.address,
    )  # fmt: skip


def answered(frame: bytes, address: bytes, own: frozenset[bytes]) -> bytes:
    """The card of another machine that has it, if this frame says so. ``own``: this machine's cards, which
    answer for one another.
    """
    if len(frame) < _FRAME.size:
        return b""
    _, _, kind, _, _, _, _, operation, mac, sender, _, _ = _FRAME.unpack_from(frame)
    if (kind, operation, sender) != (_ARP, _REPLY, address) or mac in own:
        return b""
    return bytes(mac)


def read(directory: Path) -> dict[str, str]:
    """Addresses that another machine has, and which one; empty where nobody asked."""
    try:
        found = json.loads(files.read_small(directory / FILE, most=LARGEST))
    except (OSError, ValueError):
        return {}
    return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else {}


def told(found: dict[str, str]) -> str:
    """For an operator; empty if there is nothing to tell."""
    which = ", ".join(f"{address} ({who})" for address, who in sorted(found.items()))
    return f"another machine has this one's address, too: {which}; the mesh takes both for one" * bool(found)


class Neighbours:
    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.forget()
        self._cards: list[Card] = []
        self._own: frozenset[bytes] = frozenset()
        self._asking: list[tuple[Card, socket.socket]] = []
        self._found: dict[str, str] = {}
        self._look_at = self._ask_at = self._until = 0.0
        self._may = True

    def forget(self) -> None:
        """What was found is true as long as somebody looks."""
        files.remove(self._directory / FILE)

    def look(self, now: float) -> None:
        """To be called again and again; takes no time."""
        if self._asking:
            self._ask()
            if now >= self._until:
                self._conclude()
        elif self._may and now >= self._look_at:
            self._look_at = now + LOOK
            cards, self._own = _cards()
            if cards != self._cards or now >= self._ask_at:
                self._cards, self._ask_at, self._until = cards, now + AGAIN, now + ANSWER
                self._open()
                self._ask()

    def _open(self) -> None:
        for card in self._cards:
            try:
                heard = socket.socket(
                    socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.htons(_ARP)
                )
                heard.bind((card.name, _ARP))
            except OSError as error:
                log.info("cannot ask whether another machine has our addresses: %s", error)
                self._may = False
                return
            self._asking.append((card, heard))

    def _ask(self) -> None:
        for card, heard in self._asking:
            with contextlib.suppress(OSError):  # its cable is out: then nobody disturbs us there
                heard.send(question(card))

    def _conclude(self) -> None:
        found: dict[str, str] = {}
        for card, heard in self._asking:
            with heard:
                for frame in _frames(heard):
                    if mac := answered(frame, card.address, self._own):
                        found[socket.inet_ntoa(card.address)] = f"{mac.hex(':')} on {card.name}"
        self._asking = []
        if found == self._found:
            return
        if found:
            log.warning("%s", told(found))
        else:
            log.info("no other machine has this one's address any more")
        self._found = found
        files.publish(self._directory / FILE, json.dumps(found).encode(), mode=0o644)


def _frames(heard: socket.socket) -> Iterator[bytes]:
    with contextlib.suppress(OSError):
        for _ in range(1000):
            yield heard.recv(256)


def _cards() -> tuple[list[Card], frozenset[bytes]]:
    """Those with an address, and of all of them what they are known by."""
    found: list[Card] = []
    macs: set[bytes] = set()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        for _, name in socket.if_nameindex():
            with contextlib.suppress(OSError):  # gone meanwhile, or without an address
                hardware = _asked(sock, _SIOCGIFHWADDR, name)
                (kind,), mac = struct.unpack_from("=H", hardware, 16), hardware[18:24]
                (flags,) = struct.unpack_from("=H", _asked(sock, _SIOCGIFFLAGS, name), 16)
                macs.add(mac)
                if kind == _ETHERNET and flags & _UP and not flags & (_LOOPBACK | _NOARP):
                    found.append(Card(name=name, mac=mac, address=_asked(sock, _SIOCGIFADDR, name)[20:24]))
    return found, frozenset(macs)


def _asked(sock: socket.socket, what: int, name: str) -> bytes:
    return fcntl.ioctl(sock, what, struct.pack("256s", name.encode()))
