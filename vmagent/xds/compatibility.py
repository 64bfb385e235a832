"""What this Envoy can load. A stock Envoy lacks Istio's telemetry filters and would reject every listener and
cluster.

Only filters that observe are ever taken out, and only when this Envoy does not have them: a filter that
decides about traffic (authorization, say) stays, and is rejected loudly. Source: ``istio.metadata_exchange``,
``istio.alpn`` and ``istio.stats`` are what istiod 1.29 sends and a stock Envoy 1.40 refuses.

Surprise: metadata exchange is also a wire protocol. With its filter gone its name must leave the ALPN lists,
or a peer that negotiates it sends a preface that nobody takes off the stream.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Self

from google.protobuf.message import DecodeError

from vmagent._pb import wire_pb2 as wire
from vmagent.xds import types
from vmagent.xds.messages import Give

OBSERVERS = ("istio.metadata_exchange", "istio.alpn", "istio.stats")
PEER_EXCHANGE = "istio-peer-exchange"

_CONNECTION_MANAGER = "envoy.filters.network.http_connection_manager"
_TLS = "envoy.transport_sockets.tls"


class Compatibility:
    """Adapts what goes to one Envoy. ``missing`` are the observers it does not have."""

    def __init__(self, missing: frozenset[str]) -> None:
        self._missing = missing
        self._markers = tuple(name.encode() for name in (*missing, *self._lost_protocols()))

    @classmethod
    def of(cls, node: wire.Node) -> Self:
        """From the node in Envoy's first request, which lists every extension compiled in."""
        return cls(frozenset(OBSERVERS) - {extension.name for extension in node.extensions})

    def adapt(self, give: Give) -> Give:
        """The same response without what this Envoy cannot load; unchanged, as received, if there is
        nothing.
        """
        rewrite = _REWRITE.get(give.type_url)
        if rewrite is None or not any(self._marked(value) for value in give.resources.values()):
            return give
        resources = {
            name: self._rewritten(rewrite, value) if self._marked(value) else value
            for name, value in give.resources.items()
        }
        return replace(give, resources=resources, raw=b"")

    def _rewritten(self, rewrite: "Rewrite", value: bytes) -> bytes:
        """What cannot be read goes out as it came: Envoy rejects it, and the control plane hears of it."""
        try:
            return rewrite(self, value)
        except DecodeError:
            return value

    def _lost_protocols(self) -> tuple[str, ...]:
        return (PEER_EXCHANGE,) if "istio.metadata_exchange" in self._missing else ()

    def _marked(self, value: bytes) -> bool:
        return any(marker in value for marker in self._markers)

    def _cluster(self, value: bytes) -> bytes:
        cluster = wire.Cluster.FromString(value)
        self._drop(cluster.filters)
        self._clean(cluster.transport_socket)
        for match in cluster.transport_socket_matches:
            self._clean(match.transport_socket)
        return cluster.SerializeToString()

    def _listener(self, value: bytes) -> bytes:
        listener = wire.Listener.FromString(value)
        for chain in listener.filter_chains:
            self._chain(chain)
        if listener.HasField("default_filter_chain"):
            self._chain(listener.default_filter_chain)
        return listener.SerializeToString()

    def _chain(self, chain: wire.FilterChain) -> None:
        self._drop(chain.filters)
        for network in chain.filters:
            if network.name == _CONNECTION_MANAGER:
                manager = wire.HttpConnectionManager.FromString(network.typed_config.value)
                self._drop(manager.http_filters)
                network.typed_config.value = manager.SerializeToString()
        self._clean(chain.transport_socket)

    def _drop(self, filters: Any) -> None:
        kept = [one for one in filters if one.name not in self._missing]
        if len(kept) != len(filters):
            del filters[:]
            filters.extend(kept)

    def _clean(self, socket: wire.TransportSocket) -> None:
        """Take the lost protocols out of a TLS socket's ALPN list."""
        lost = self._lost_protocols()
        if socket.name != _TLS or not any(name.encode() in socket.typed_config.value for name in lost):
            return
        context = wire.TlsContext.FromString(socket.typed_config.value)
        kept = [name for name in context.common_tls_context.alpn_protocols if name not in lost]
        del context.common_tls_context.alpn_protocols[:]
        context.common_tls_context.alpn_protocols.extend(kept)
        socket.typed_config.value = context.SerializeToString()


Rewrite = Callable[[Compatibility, bytes], bytes]

_REWRITE: dict[str, Rewrite] = {
    types.CLUSTER: Compatibility._cluster,
    types.LISTENER: Compatibility._listener,
}
