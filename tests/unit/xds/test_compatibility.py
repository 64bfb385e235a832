"""What a stock Envoy cannot load is taken out of what istiod really sends; everything else passes
untouched.
"""

from pathlib import Path

import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import base_pb2
from envoy.config.listener.v3 import listener_components_pb2 as parts_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import (
    http_connection_manager_pb2 as manager_pb2,
)
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2
from google.protobuf import any_pb2
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from tests.conftest import RECORDINGS
from vmagent._pb import wire_pb2 as wire
from vmagent.xds import sotw, types
from vmagent.xds.compatibility import OBSERVERS, Compatibility
from vmagent.xds.messages import Give

STOCK = Compatibility.of(wire.Node(extensions=[wire.Extension(name="envoy.filters.http.router")]))
ISTIO = Compatibility.of(wire.Node(extensions=[wire.Extension(name=name) for name in OBSERVERS]))

RECORDED: list[Path | None] = [*sorted((RECORDINGS / "istiod-1.29.6").glob("*/*/[cl]ds.pb"))] or [None]


def pack(message: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


def listener(*http_filters: str, alpn: tuple[str, ...] = ("h2",)) -> listener_pb2.Listener:
    manager = manager_pb2.HttpConnectionManager(
        stat_prefix="web",
        http_filters=[manager_pb2.HttpFilter(name=name) for name in http_filters],
    )
    tls = tls_pb2.DownstreamTlsContext()
    tls.common_tls_context.alpn_protocols.extend(alpn)
    tls.require_client_certificate.value = True
    chain = parts_pb2.FilterChain(
        name="web",
        filters=[
            parts_pb2.Filter(name="istio.metadata_exchange"),
            parts_pb2.Filter(
                name="envoy.filters.network.http_connection_manager", typed_config=pack(manager)
            ),
        ],
        transport_socket=base_pb2.TransportSocket(name="envoy.transport_sockets.tls", typed_config=pack(tls)),
    )
    return listener_pb2.Listener(name="in", filter_chains=[chain], default_filter_chain=chain)


def give(message: listener_pb2.Listener) -> Give:
    return Give(types.LISTENER, "1", "n", {message.name: message.SerializeToString()}, b"raw")


def test_observers_and_the_protocol_of_metadata_exchange_are_taken_out_and_nothing_else() -> None:
    sent = listener("istio.stats", "envoy.filters.http.rbac", alpn=("istio-peer-exchange", "h2"))
    adapted = STOCK.adapt(give(sent))
    expected = listener("envoy.filters.http.rbac", alpn=("h2",))
    for chain in (expected.filter_chains[0], expected.default_filter_chain):
        del chain.filters[0]
    assert adapted.raw == b""
    received = listener_pb2.Listener.FromString(adapted.resources["in"])
    assert MessageToDict(received) == MessageToDict(expected)  # the order of fields inside an Any may differ


def test_an_istio_proxy_gets_everything_as_it_came() -> None:
    sent = give(listener("istio.stats", alpn=("istio-peer-exchange",)))
    assert ISTIO.adapt(sent) is sent


def test_a_filter_that_decides_about_traffic_stays() -> None:
    plain = listener("istio_authn")
    for chain in (plain.filter_chains[0], plain.default_filter_chain):
        del chain.filters[0]
    sent = give(plain)
    assert STOCK.adapt(sent) is sent


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: "/".join(path.parts[-3:]) if path else "none")
def test_recorded_responses_lose_every_observer_and_keep_their_names(path: Path | None) -> None:
    if path is None:
        pytest.skip("../shared/recordings is not present")
    update = sotw.decode_response(path.read_bytes())
    adapted = STOCK.adapt(Give(update.type_url, update.version, update.nonce, update.resources, update.raw))
    kind = cluster_pb2.Cluster if update.type_url == types.CLUSTER else listener_pb2.Listener
    for name, value in adapted.resources.items():
        assert kind.FromString(value).name == name
        assert not [marker for marker in OBSERVERS if _names_filter(marker, value)]
    assert list(adapted.resources) == list(update.resources)


def _names_filter(marker: str, value: bytes) -> bool:
    """A filter's name is a length-prefixed string in field 1."""
    return b"\x0a" + bytes([len(marker)]) + marker.encode() in value
