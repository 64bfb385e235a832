"""Ports for servers of tests.

Surprise:  they lie below the range from which the kernel serves clients, and none is handed out twice: a port
           that is free now may be some client's a moment later, and stay so as long as its connection does.
"""

import itertools
import random
import socket
from collections.abc import Iterator
from typing import Final

# From 20000 up to where net.ipv4.ip_local_port_range begins.
_RANGE: Final = range(20_000, 32_768)
_numbers: Iterator[int] = itertools.cycle(random.sample(_RANGE, len(_RANGE)))


def free_port() -> int:
    """One that nobody uses on any address of IPv4, neither of TCP nor of UDP."""
    return next(port for port in itertools.islice(_numbers, len(_RANGE)) if _is_free(port))


def free_ports(count: int) -> list[int]:
    return [free_port() for _ in range(count)]


def _is_free(port: int) -> bool:
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        # A server may take over from connections that are only waiting to be forgotten.
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tcp.bind(("0.0.0.0", port))
            udp.bind(("0.0.0.0", port))
        except OSError:
            return False
    return True
