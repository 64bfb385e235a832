"""The protocol lists of TLS contexts, where the extensions that gave them their meaning are gone.

Metadata exchange is also a wire protocol: whoever negotiates ``istio-peer-exchange`` sends a preface, and
nobody here would take it off the stream. ``istio.alpn`` told the peer, request by request, which protocol is
spoken inside, and the peer chooses its filter chain by that; without it a context can only say what is true
of every connection of its cluster.

Source: names are those that istiod 1.29 gives ``istio.alpn``, which asks the cluster for its protocol too.
"""

from typing import Any, Final

from vmagent._pb import wire_pb2 as wire

PEER_EXCHANGE: Final = "istio-peer-exchange"
MESH: Final = "istio"
"""What every mutual TLS context of the mesh offers, and no other: it is kept."""

Announced = tuple[str, ...]
"""What goes to the head of a list that has ``istio``; empty where it depends on the request."""

NOTHING: Final[Announced] = ()
HTTP1: Final[Announced] = ("istio-http/1.1", MESH, "http/1.1")
HTTP2: Final[Announced] = ("istio-h2", MESH, "h2")

MOST_HEADS: Final = 1024
"""Remembered beginnings of TLS contexts. Clusters of one mesh differ in names alone, so a few are enough."""

_ENTRY: Final = b'"' + bytes([len(PEER_EXCHANGE)]) + PEER_EXCHANGE.encode()
"""``alpn_protocols`` (field 4) with that name, as it is on the wire."""

_SOCKETS: Final = "envoy.extensions.transport_sockets."
_CONTEXTS: Final = (_SOCKETS + "tls.v3.UpstreamTlsContext", _SOCKETS + "tls.v3.DownstreamTlsContext")
AROUND: Final = {
    _SOCKETS + "internal_upstream.v3.InternalUpstreamTransport": wire.InternalUpstreamTransport,
    _SOCKETS + "proxy_protocol.v3.ProxyProtocolUpstreamTransport": wire.ProxyProtocolUpstreamTransport,
    _SOCKETS + "tap.v3.Tap": wire.TapTransport,
    _SOCKETS + "tcp_stats.v3.Config": wire.TcpStatsTransport,
    _SOCKETS + "http_11_proxy.v3.Http11ProxyUpstreamTransport": wire.Http11ProxyUpstreamTransport,
}
_START_TLS: Final = (_SOCKETS + "starttls.v3.UpstreamStartTlsConfig", _SOCKETS + "starttls.v3.StartTlsConfig")


class Alpn:
    """``lost``: metadata exchange is missing. All methods return the same object where nothing changes, and
    raise DecodeError.
    """

    def __init__(self, *, lost: bool) -> None:
        self._lost = lost
        self._heads: dict[bytes, bytes] = {}

    def loses(self, value: bytes) -> bool:
        """Whether a list in these bytes may lose its name of metadata exchange."""
        return self._lost and _ENTRY in value

    def match(self, value: bytes, announced: Announced = NOTHING) -> bytes:
        """One of a cluster's ``transport_socket_matches``.

        The contexts of a mesh begin alike and differ where the peer is named. What becomes of a beginning,
        the lengths of all that is around the list included, becomes of every one like it: this makes ten
        thousand clusters cheap.
        """
        if announced:
            return self._match(value, announced)
        at = value.find(_ENTRY) if self._lost else -1
        if at < 0:
            return value
        rest = value[at + len(_ENTRY) :]
        if _ENTRY in rest:
            return self._match(value, announced)
        head = self._heads.get(value[:at])
        if head is not None:
            return head + rest
        changed = self._match(value, announced)
        if changed is not value and changed.endswith(rest) and len(self._heads) < MOST_HEADS:
            self._heads[value[:at]] = changed[: len(changed) - len(rest)]
        return changed

    def socket(self, value: bytes, announced: Announced = NOTHING) -> bytes:
        """A transport socket, or one around another."""
        if not self._lost and not announced:
            return value
        socket = wire.TransportSocket.FromString(value)
        kind, config = socket.typed_config.type_url.rpartition("/")[2], socket.typed_config.value
        if kind in _CONTEXTS:
            changed = self._context(config, announced)
        elif kind in AROUND:
            changed = self._around(kind, config, announced)
        elif kind in _START_TLS:
            changed = self._start_tls(config, announced)
        else:
            return value
        if changed is config:
            return value
        socket.typed_config.value = changed
        return socket.SerializeToString()

    def _match(self, value: bytes, announced: Announced) -> bytes:
        match = wire.Cluster.TransportSocketMatch.FromString(value)
        inner = match.transport_socket
        changed = self.socket(inner, announced)
        if changed is inner:
            return value
        match.transport_socket = changed
        return match.SerializeToString()

    def _around(self, kind: str, value: bytes, announced: Announced) -> bytes:
        outer: Any = AROUND[kind].FromString(value)
        inner: bytes = outer.transport_socket
        changed = self.socket(inner, announced)
        if changed is inner:
            return value
        outer.transport_socket = changed
        left: bytes = outer.SerializeToString()
        return left

    def _start_tls(self, value: bytes, announced: Announced) -> bytes:
        outer = wire.StartTlsConfig.FromString(value)
        inner = outer.tls_socket_config
        changed = self._context(inner, announced)
        if changed is inner:
            return value
        outer.tls_socket_config = changed
        return outer.SerializeToString()

    def _context(self, value: bytes, announced: Announced) -> bytes:
        context = wire.TlsContext.FromString(value)
        offered = list(context.common_tls_context.alpn_protocols)
        kept = self._kept(offered, announced)
        if kept == offered:
            return value
        context.common_tls_context.alpn_protocols[:] = kept
        return context.SerializeToString()

    def _kept(self, offered: list[str], announced: Announced) -> list[str]:
        kept = [name for name in offered if not (self._lost and name == PEER_EXCHANGE)]
        if MESH not in kept:
            return kept
        return [*announced, *(name for name in kept if name not in announced)]
