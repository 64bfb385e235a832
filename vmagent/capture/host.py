"""Facts about this machine that the rules depend on: resolvers, address families, accounts. Read once per
apply.

Does not:  decide anything; rules.py and plan.py do.
"""

import contextlib
import fcntl
import grp
import ipaddress
import pwd
import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vmagent.capture import listening
from vmagent.capture.rule import Family

RESOLV_CONF: Final = Path("/etc/resolv.conf")
IF_INET6: Final = Path("/proc/net/if_inet6")
SIOCGIFADDR: Final = 0x8915

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    nameservers: tuple[Address, ...]
    """As in resolv.conf; what libc would ask if the file names none (127.0.0.1)."""
    ipv4: bool
    """Has an address that is neither loopback nor link-local."""
    ipv6: bool
    envoy: frozenset[Family] = frozenset()
    """In which Envoy listens; empty if it does not, so that the addresses must tell."""


def read(resolv_conf: Path = RESOLV_CONF, *, envoy_port: int) -> Host:
    return Host(
        nameservers=nameservers(resolv_conf.read_text(errors="replace") if resolv_conf.exists() else ""),
        ipv4=any(_usable(address) for address in _ipv4_addresses()),
        ipv6=any(_usable(address) for address in ipv6_addresses(_text(IF_INET6))),
        envoy=listening.families(envoy_port),
    )


def nameservers(resolv_conf: str) -> tuple[Address, ...]:
    """resolv.conf(5). A zone (``fe80::1%eth0``) is dropped: iptables cannot match it, and the address alone
    is enough.
    """
    found: list[Address] = []
    for words in map(str.split, resolv_conf.splitlines()):
        if len(words) < 2 or words[0] != "nameserver":
            continue
        with contextlib.suppress(ValueError):  # libc ignores a server it cannot parse, too
            found.append(ipaddress.ip_address(words[1].partition("%")[0]))
    return tuple(dict.fromkeys(found)) or (ipaddress.ip_address("127.0.0.1"),)


def ipv6_addresses(if_inet6: str) -> list[Address]:
    """/proc/net/if_inet6: 32 hex digits first on each line."""
    return [ipaddress.IPv6Address(bytes.fromhex(line.split()[0])) for line in if_inet6.splitlines()]


def _ipv4_addresses() -> list[Address]:
    """The first address of each interface."""
    found: list[Address] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
        for _, name in socket.if_nameindex():
            with contextlib.suppress(OSError):  # an interface without an IPv4 address
                answer = fcntl.ioctl(sock, SIOCGIFADDR, struct.pack("256s", name.encode()))
                found.append(ipaddress.IPv4Address(answer[20:24]))
    return found


def _usable(address: Address) -> bool:
    return not (address.is_loopback or address.is_link_local)


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


class SystemAccounts:
    """pwd and grp; a name made of digits is an id, as for iptables."""

    def user(self, who: str) -> tuple[int, int] | None:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwuid(int(who)) if who.isascii() and who.isdigit() else pwd.getpwnam(who)
            return entry.pw_uid, entry.pw_gid
        return None

    def group(self, who: str) -> int | None:
        with contextlib.suppress(KeyError):
            return grp.getgrnam(who).gr_gid
        return None
