"""The host's own addresses: the only module that asks the kernel for them.

Owns:      reading interfaces and their addresses over netlink, and the source address of the default route;
           whether somebody listens on a Unix socket.
Does not:  decide which one counts (address_choice.py).
Surprise:  nothing is sent: connecting a UDP socket only makes the kernel pick a route and a source.
"""

import errno
import ipaddress
import os
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_GETLINK, _GETADDR, _DONE, _ERROR = 18, 22, 3, 2
_REQUEST_DUMP: Final = 0x301
_IFF_UP, _IFF_LOOPBACK = 0x1, 0x8
_IFLA_IFNAME, _IFA_ADDRESS, _IFA_LOCAL = 3, 1, 2
_ROUTED: Final = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}
"""Documentation addresses (RFC 5737, RFC 3849): only a default route leads there."""

_NO_ROUTE: Final = {
    errno.ENETUNREACH,
    errno.EHOSTUNREACH,
    errno.EADDRNOTAVAIL,
    errno.EACCES,
    errno.EAFNOSUPPORT,
}


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
    credential_socket: bool = False
    """Whether somebody serves credentials by name (``sds://NAME``) at Istio's place for that."""


CREDENTIAL_SOCKET: Final = "var/run/secrets/credential-uds/socket"
CONNECT: Final = 1.0
"""Seconds, as Istio's agent waits; a Unix socket that is listened on answers at once."""


def read(base: Path = Path("/")) -> Host:
    """The machine as it is now. ``base`` is where Istio's relative paths start."""
    return Host(
        name=socket.gethostname(),
        addresses=tuple(_usable()),
        routed=tuple(_sources()),
        credential_socket=_listens(base / CREDENTIAL_SOCKET),
    )


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as sock:
        sock.settimeout(CONNECT)
        try:
            sock.connect(str(path))
        except OSError:  # absent, stale, not ours to use, a path too long for a socket
            return False
    return True


def _usable() -> Iterator[HostAddress]:
    with socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
    ) as sock:
        sock.bind((0, 0))
        names: dict[int, str] = {}
        for body in _dump(sock, _GETLINK):
            _, _, index, flags, _ = struct.unpack_from("=BxHiII", body)
            if flags & _IFF_UP and not flags & _IFF_LOOPBACK:
                names[index] = _attributes(body[16:]).get(_IFLA_IFNAME, b"").rstrip(b"\0").decode()
        for body in _dump(sock, _GETADDR):
            index = struct.unpack_from("=BBBBI", body)[4]
            attributes = _attributes(body[8:])
            packed = attributes.get(_IFA_LOCAL) or attributes.get(_IFA_ADDRESS)
            if index in names and packed:
                ip = ipaddress.ip_address(packed)
                if not (ip.is_loopback or ip.is_link_local or ip.is_multicast or ip.is_unspecified):
                    yield HostAddress(interface=names[index], ip=str(ip))


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


def _sources() -> Iterator[str]:
    for family, target in _ROUTED.items():
        try:
            with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.connect((target, 9))
                source = str(sock.getsockname()[0])
        except OSError as error:
            if error.errno not in _NO_ROUTE:
                raise
        else:
            yield source
