"""The host's own addresses: the only module that asks the kernel for them.

Owns:      reading interfaces and their addresses over netlink, and the source address of a route; hearing
           that one of them changed; whether somebody listens on a Unix socket.
Does not:  decide which one counts (address_choice.py).
Surprise:  nothing is sent: connecting a UDP socket only makes the kernel pick a route and a source.
"""

import asyncio
import errno
import ipaddress
import os
import socket
import struct
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from vmagent.errors import Unavailable

_GETLINK, _GETADDR, _DONE, _ERROR = 18, 22, 3, 2
_REQUEST_DUMP: Final = 0x301
_IFF_UP, _IFF_LOOPBACK = 0x1, 0x8
_IFLA_IFNAME, _IFA_ADDRESS, _IFA_LOCAL, _IFA_FLAGS = 3, 1, 2, 8
_DADFAILED: Final = 0x08
_SHORT_LIVED: Final = 0x01 | 0x20 | 0x40
"""IFA_F_TEMPORARY, _DEPRECATED and _TENTATIVE of IPv6: made for privacy, on its way out, not yet ours."""
_GROUPS: Final = 0x1 | 0x10 | 0x40 | 0x100 | 0x400
"""RTMGRP_LINK, and addresses and routes of both families."""
_ROUTED: Final = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}
"""Documentation addresses (RFC 5737, RFC 3849): only a default route leads there."""

_MOST_AT_ONCE: Final = 10_000
"""Messages; a socket holds some hundred."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HostAddress:
    interface: str
    ip: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What the configuration needs to know of the machine it runs on."""

    name: str
    """As ``hostname`` prints it."""
    addresses: tuple[HostAddress, ...]
    """Of interfaces that are up, in the kernel's order; loopback and link-local ones left out."""
    routed: tuple[str, ...]
    """What the default route of IPv4, then that of IPv6, sends from; empty without one."""
    towards: tuple[str, ...] = ()
    """What the route to the control plane sends from, in the order of its addresses; empty if not known."""
    duplicates: tuple[str, ...] = ()
    """Addresses that another machine of the network has, as IPv6 finds out; not in ``addresses``."""
    credential_socket: bool = False
    """Whether somebody serves credentials by name (``sds://NAME``) at Istio's place for that."""


CREDENTIAL_SOCKET: Final = "var/run/secrets/credential-uds/socket"
CONNECT: Final = 1.0
"""Seconds, as Istio's agent waits; a Unix socket that is listened on answers at once."""


def read(base: Path = Path("/"), *, peers: Iterable[str] = ()) -> Host:
    """The machine as it is now. ``base`` is where Istio's relative paths start; ``peers`` are addresses of
    the control plane, if they are known. Raises Unavailable when the kernel cannot be asked.
    """
    try:
        usable, duplicates = _usable()
        routed, towards = (tuple(_sources(targets)) for targets in (_ROUTED.values(), peers))
        served = _listens(base / CREDENTIAL_SOCKET)
    except OSError as why:
        raise Unavailable(f"this machine's addresses cannot be read: {why.strerror}") from why
    return Host(
        name=socket.gethostname(),
        addresses=usable,
        routed=routed,
        towards=towards,
        duplicates=duplicates,
        credential_socket=served,
    )


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as sock:
        sock.settimeout(CONNECT)
        try:
            sock.connect(str(path))
        except OSError:  # absent, stale, not ours to use, a path too long for a socket
            return False
    return True


def _usable() -> tuple[tuple[HostAddress, ...], tuple[str, ...]]:
    """And those that another machine has."""
    found: list[HostAddress] = []
    duplicates: list[str] = []
    with socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
    ) as sock:
        sock.bind((0, 0))
        names: dict[int, str] = {}
        for body in _dump(sock, _GETLINK):
            _, _, index, flags, _ = struct.unpack_from("=BxHiII", body)
            if flags & _IFF_UP and not flags & _IFF_LOOPBACK:
                names[index] = (
                    _attributes(body[16:]).get(_IFLA_IFNAME, b"").rstrip(b"\0").decode(errors="replace")
                )
        for body in _dump(sock, _GETADDR):
            index = struct.unpack_from("=BBBBI", body)[4]
            attributes = _attributes(body[8:])
            packed = attributes.get(_IFA_LOCAL) or attributes.get(_IFA_ADDRESS)
            if index not in names or not packed:
                continue
            ip = ipaddress.ip_address(packed)
            flags = int.from_bytes(attributes.get(_IFA_FLAGS, body[2:3]), sys.byteorder)
            if ip.version == 6 and flags & _DADFAILED:
                duplicates.append(str(ip))
            elif not _passing(ip, flags):
                found.append(HostAddress(interface=names[index], ip=str(ip)))
    return tuple(found), tuple(duplicates)


def _passing(ip: ipaddress.IPv4Address | ipaddress.IPv6Address, flags: int) -> bool:
    """Whether nobody outside can rely on it: of this machine or link alone, or soon another one."""
    own = ip.is_loopback or ip.is_link_local or ip.is_multicast or ip.is_unspecified
    return own or (ip.version == 6 and bool(flags & _SHORT_LIVED))


def _dump(sock: socket.socket, kind: int) -> Iterator[bytes]:
    sock.send(struct.pack("=IHHIIB3x", 20, kind, _REQUEST_DUMP, 1, 0, socket.AF_UNSPEC))
    while True:
        data = sock.recv(1 << 16)
        while data:
            length, answer = struct.unpack_from("=IH", data)
            if answer == _DONE:
                return
            if answer == _ERROR:
                code = -struct.unpack_from("=i", data, 16)[0]
                raise OSError(code, os.strerror(code))
            yield data[16:length]
            data = data[(length + 3) & ~3 :]


def _attributes(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while len(data) >= 4:
        length, kind = struct.unpack_from("=HH", data)
        found[kind] = data[4:length]
        data = data[max(4, (length + 3) & ~3) :]
    return found


def _sources(targets: Iterable[str]) -> Iterator[str]:
    for target in targets:
        family = socket.AF_INET6 if ":" in target else socket.AF_INET
        try:
            sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        except OSError as error:
            if error.errno == errno.EAFNOSUPPORT:
                continue
            raise
        with sock:
            try:
                sock.connect((target, 9))
            except OSError:
                continue  # no route: each kind says so by a number of its own, a blackhole by EINVAL
            yield str(sock.getsockname()[0])


class Changes:
    """Hears of interfaces, addresses and routes that come and go. For a ``with`` block."""

    def __enter__(self) -> Self:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._socket = socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE)
        self._socket.bind((0, _GROUPS))
        return self

    def __exit__(self, *exc: object) -> None:
        self._socket.close()

    async def happened(self, *, within: float) -> bool:
        """Whether something changed within so many seconds, or before; what that was is not told. All that is
        known by now counts once: a router's table may change a thousand times a second.
        """
        try:
            async with asyncio.timeout(within):
                await asyncio.get_running_loop().sock_recv(self._socket, 1 << 16)
            for _ in range(_MOST_AT_ONCE):
                self._socket.recv(1 << 16)
        except TimeoutError:
            return False
        except BlockingIOError:
            return True
        except OSError as error:
            if error.errno != errno.ENOBUFS:  # more than fits: something changed
                raise
        return True
