"""Filter chains on their way to a listener: what each takes, whether two take the same, and the listener
around them.

Does not:  know which chains a service needs (connection_chains.py, outbound.py, gateway_listeners.py).
"""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from envoy.config.core.v3 import address_pb2, base_pb2
from envoy.config.listener.v3.listener_components_pb2 import (
    Filter,
    FilterChain,
    FilterChainMatch,
    ListenerFilter,
)
from envoy.extensions.filters.listener.http_inspector.v3 import http_inspector_pb2
from envoy.extensions.filters.listener.tls_inspector.v3 import tls_inspector_pb2

from lab.controlplane.snapshot import names
from lab.controlplane.snapshot.packing import pack, seconds

PLAIN_HTTP: Final = ("http/1.1", "h2c")
"""What Envoy's http_inspector calls the plain HTTP it recognises."""
PLAIN: Final = "raw_buffer"
TLS: Final = "tls"

_EVERY_NAME: Final = "*"
_HANDSHAKE: Final = 15
"""Seconds a transport socket may take to be ready; Istio's default."""
_FIRST_READ: Final = 512
"""Bytes the TLS inspector reads at first; a usual ClientHello fits, and memory is held per open
connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """Empty fields match everything."""

    filters: tuple[Filter, ...]
    sni: tuple[str, ...] = ()
    ranges: tuple[str, ...] = ()
    protocols: tuple[str, ...] = ()
    transport: str = ""
    tls: base_pb2.TransportSocket | None = None
    offers_alpn: bool = False
    """The TLS it ends names protocols to the client."""
    metadata: base_pb2.Metadata | None = None

    @property
    def takes_all(self) -> bool:
        no_name = not self.sni or _EVERY_NAME in self.sni
        return no_name and not (self.ranges or self.protocols or self.transport)

    @property
    def reads_tls(self) -> bool:
        return bool(self.sni) or self.offers_alpn

    def same_match(self, other: "Chain") -> bool:
        return self._match() == other._match()

    def _match(self) -> tuple[object, ...]:
        sni = frozenset(self.sni) - {_EVERY_NAME} if self.sni else None
        ranges = frozenset(map(_network, self.ranges)) - {names.ANY_ADDRESS} if self.ranges else None
        return self.transport, self.protocols, sni, ranges

    def built(self) -> FilterChain:
        chain = FilterChain(
            filters=self.filters,
            transport_socket_connect_timeout=seconds(_HANDSHAKE),
            metadata=self.metadata,
            transport_socket=self.tls,
        )
        if not self.takes_all:
            chain.filter_chain_match.CopyFrom(
                FilterChainMatch(
                    application_protocols=self.protocols,
                    transport_protocol=self.transport,
                    server_names=() if _EVERY_NAME in self.sni else sorted(self.sni),
                    prefix_ranges=[_range(each) for each in sorted(self.ranges)],
                )
            )
        return chain


def _network(text: str) -> str:
    network = ipaddress.ip_network(text, strict=False)
    return names.ANY_ADDRESS if str(network.network_address) == names.ANY_ADDRESS else str(network)


def _range(text: str) -> address_pb2.CidrRange:
    """The address as it is written, host bits included; Envoy masks it itself."""
    address, _, length = text.partition("/")
    return address_pb2.CidrRange(
        address_prefix=address,
        prefix_len={"value": int(length) if length else ipaddress.ip_address(address).max_prefixlen},
    )


def distinct(chains: Iterable[Chain]) -> list[Chain]:
    """Without those that take what an earlier one takes: Envoy refuses a listener that has two of a kind."""
    found: list[Chain] = []
    for chain in chains:
        if not any(chain.same_match(each) for each in found):
            found.append(chain)
    return found


def inspectors(chains: Sequence[Chain]) -> list[ListenerFilter]:
    """Only what a chain's match needs: who looks at the first bytes waits for them."""
    found = []
    if any(each.reads_tls for each in chains):
        found.append(tls_inspector())
    if any(each.protocols for each in chains):
        found.append(http_inspector())
    return found


def http_inspector() -> ListenerFilter:
    return ListenerFilter(
        name="envoy.filters.listener.http_inspector", typed_config=pack(http_inspector_pb2.HttpInspector())
    )


def tls_inspector() -> ListenerFilter:
    return ListenerFilter(
        name="envoy.filters.listener.tls_inspector",
        typed_config=pack(tls_inspector_pb2.TlsInspector(initial_read_buffer_size={"value": _FIRST_READ})),
    )


def socket_address(address: str, port: int) -> address_pb2.Address:
    return address_pb2.Address(socket_address={"address": address, "port_value": port})
