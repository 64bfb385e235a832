"""Clusters, which are many: their network filters, the filters of their HTTP options, and what their TLS
contexts announce.

Source: which protocol a cluster speaks is decided by Envoy from these options, as ``istio.alpn`` asks it;
istiod gives none to a cluster of HTTP/1.1 or of TCP, so that these two cannot be told apart here.
"""

from collections.abc import Callable
from typing import Any, Final

from vmagent._pb import wire_pb2 as wire
from vmagent.xds.compatibility.alpn import HTTP1, HTTP2, NOTHING, Alpn, Announced
from vmagent.xds.compatibility.rewriting import Rewriting

MOST_REMEMBERED: Final = 1024

_OPTIONS: Final = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_BY_REQUEST: Final = 1
"""``Cluster.protocol_selection``: the protocol of the request decides."""


class Clusters:
    """``silent``: ``istio.alpn`` is missing, so that the contexts have to announce what they can. Raises as
    Rewriting does.
    """

    def __init__(self, rewriting: Rewriting, alpn: Alpn, *, silent: bool) -> None:
        self._rewriting = rewriting
        self._alpn = alpn
        self._silent = silent
        self._remembered: dict[bytes, Announced] = {}
        """Options without anything to take out: there are few, and each is in many clusters."""

    def rewrite(self, value: bytes) -> bytes:
        """The same object where nothing changes. A cluster without an extension of Istio's is none of a mesh
        that announces more than ``istio``, and announces nothing new.
        """
        cluster = wire.Cluster.FromString(value)
        changed = self._rewriting.field(cluster.filters, wire.ClusterFilter)
        speaks, rewritten = self._options(cluster)
        changed |= rewritten
        announced = speaks if self._silent and (changed or self._alpn.loses(value)) else NOTHING
        alpn = self._alpn
        changed |= _replace(cluster.transport_socket, alpn.socket, announced)
        changed |= _replace(cluster.transport_socket_matches, alpn.match, announced)
        return cluster.SerializeToString() if changed else value

    def _options(self, cluster: wire.Cluster) -> tuple[Announced, bool]:
        """What the cluster announces by its own options, and whether these changed."""
        speaks, changed = NOTHING, False
        if cluster.http2_protocol_options and cluster.protocol_selection != _BY_REQUEST:
            speaks = HTTP2
        if not cluster.typed_extension_protocol_options:
            return speaks, False
        before = list(cluster.typed_extension_protocol_options)
        after = []
        for each in before:
            said, left = self._entry(each)
            speaks = said or speaks
            changed |= left is not each
            after.append(left)
        if changed:
            cluster.typed_extension_protocol_options[:] = after
        return speaks, changed

    def _entry(self, value: bytes) -> tuple[Announced, bytes]:
        remembered = self._remembered.get(value)
        if remembered is not None:
            return remembered, value
        entry = wire.OptionsEntry.FromString(value)
        if entry.value.type_url.rpartition("/")[2] != _OPTIONS:
            return NOTHING, value
        before = entry.value.value
        said = _spoken(wire.HttpProtocolOptions.FromString(before))
        after = self._rewriting.part(wire.HttpProtocolOptions, before)
        if after is not before:
            entry.value.value = after or b""
            return said, entry.SerializeToString()
        if len(self._remembered) < MOST_REMEMBERED:
            self._remembered[value] = said
        return said, value


def _spoken(options: wire.HttpProtocolOptions) -> Announced:
    explicit = options.explicit_http_config
    if explicit.http2_protocol_options:
        return HTTP2
    return HTTP1 if explicit.http_protocol_options else NOTHING


def _replace(values: Any, change: Callable[[bytes, Announced], bytes], announced: Announced) -> bool:
    """Change what is in one repeated field of bytes; whether anything did change."""
    if not values:
        return False
    before = list(values)
    after = [change(each, announced) for each in before]
    if after == before:
        return False
    values[:] = after
    return True
