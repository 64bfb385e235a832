"""Addresses as Envoy's bootstrap writes them, and which IP family this machine speaks.

Owns:      ``HOST:PORT`` as it stands in a ProxyConfig; the IPv4, IPv6 and dual-stack forms.
Does not:  resolve names.
"""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from vmagent.envoy.config import Object
from vmagent.errors import Misconfigured


@dataclass(frozen=True, slots=True)
class Family:
    """The ``also_`` addresses are empty unless the machine is dual stack and was told to use that."""

    localhost: str
    wildcard: str
    also_localhost: str
    also_wildcard: str
    dns: str
    """Envoy's DnsLookupFamily."""


_V4 = Family("127.0.0.1", "0.0.0.0", "", "", "V4_ONLY")
_V6 = Family("::1", "::", "", "", "V6_ONLY")


def is_ipv6(ip: str) -> bool:
    return ipaddress.ip_address(ip).version == 6


def all_ipv6(ips: Sequence[str]) -> bool:
    """No address at all counts as IPv4, as in Istio."""
    return bool(ips) and all(map(is_ipv6, ips))


def family(ips: Sequence[str], *, dual_stack: bool) -> Family:
    """Addresses of both families mean IPv4, unless ``dual_stack``: then the first address leads."""
    if all_ipv6(ips):
        return _V6
    if not dual_stack or not any(map(is_ipv6, ips)):
        return _V4
    first = ipaddress.ip_address(ips[0])
    lead, other = (_V6, _V4) if first.version == 6 and not first.is_link_local else (_V4, _V6)
    return Family(lead.localhost, lead.wildcard, other.localhost, other.wildcard, "ALL")


@dataclass(frozen=True, slots=True)
class Endpoint:
    host: str
    port: int

    @classmethod
    def parse(cls, text: str, *, key: str, host_ip: str = "") -> Self:
        """``key`` is the ProxyConfig field, for the sentence that an operator reads."""
        host, colon, port = text.rpartition(":")
        if not colon or not port.isdigit() or not 0 < int(port) < 65536 or not host:
            raise Misconfigured(
                f"mesh file: defaultConfig.{key}: {text!r} is not HOST:PORT",
                hint="write a name, an IPv4 address or an IPv6 address in brackets, and a port",
            )
        if host == "$(HOST_IP)" and host_ip:
            host = host_ip
        return cls(host.removeprefix("[").removesuffix("]"), int(port))

    @property
    def is_literal(self) -> bool:
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return False
        return True


def tcp(host: str, port: int) -> Object:
    return {"socket_address": {"protocol": "TCP", "address": host, "port_value": port}}


def udp(host: str, port: int) -> Object:
    return {"socket_address": {"protocol": "UDP", "address": host, "port_value": port}}


def pipe(path: Path) -> Object:
    return {"pipe": {"path": str(path)}}
