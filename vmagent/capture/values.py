"""One setting's text → one value. Every ValueError here is a sentence for the operator, ending in the remedy.

Lists are comma-separated; empty items are dropped as in Istio, spaces around items as well (Istio hands
them to iptables).
"""

import ipaddress
import re
from typing import Final, Literal

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_TRUE: Final = frozenset(("1", "t", "T", "TRUE", "true", "True"))
_FALSE: Final = frozenset(("0", "f", "F", "FALSE", "false", "False"))
"""What Go's ParseBool takes, so that a file that worked with Istio works here."""

_INTERFACE = re.compile(r"[^\s/!+\"']{1,15}|[^\s/!+\"']{1,14}\+")
"""IFNAMSIZ - 1 bytes; a final ``+`` is iptables' wildcard."""


def boolean(text: str) -> bool:
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ValueError("expected true or false; write one of them")


def port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65535):
        raise ValueError("expected a port; write a number from 1 to 65535")
    return int(text)


def items(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


def ports(text: str) -> tuple[str, ...]:
    """``80`` and ``8000:9000``, as iptables writes them."""
    return tuple(_port_or_range(item) for item in items(text))


def _port_or_range(item: str) -> str:
    first, colon, last = item.partition(":")
    try:
        low = port(first)
        high = port(last) if colon else low
    except ValueError:
        raise ValueError(f"{item!r} is not a port; write ports like 80,8000:9000") from None
    if high < low:
        raise ValueError(f"the range {item!r} runs backwards; write {high}:{low}")
    return f"{low}:{high}" if colon else str(low)


def networks(text: str) -> tuple[Network, ...]:
    return tuple(_network(item) for item in items(text))


def _network(item: str) -> Network:
    """A bare address is refused as in Istio: nobody knows whether one machine or a forgotten prefix was
    meant.
    """
    try:
        network = ipaddress.ip_network(item, strict=False)
    except ValueError:
        raise ValueError(f"{item!r} is not a network; write networks like 10.0.0.0/8,fd00::/8") from None
    if "/" not in item:
        raise ValueError(f"{item!r} has no prefix length; write {network} for this one address")
    return network


def loopback(text: str) -> ipaddress.IPv4Network:
    network = _network(text)
    if not isinstance(network, ipaddress.IPv4Network) or not network.is_loopback or network.prefixlen < 8:
        raise ValueError("expected an IPv4 loopback network; write 127.0.0.1/32 or a part of 127.0.0.0/8")
    return network


def interfaces(text: str) -> tuple[str, ...]:
    for item in items(text):
        if not _INTERFACE.fullmatch(item):
            raise ValueError(f"{item!r} is not an interface name; write names like eth1,docker+")
    return items(text)


def flavour(text: str) -> Literal["", "nft", "legacy"]:
    if text == "nft":
        return "nft"
    if text == "legacy":
        return "legacy"
    if text:
        raise ValueError("expected nft or legacy; leave it empty to follow the host")
    return ""
