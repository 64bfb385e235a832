"""The state-of-the-world codec against the public stubs and hostile bytes."""

import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.message import DecodeError

from vmagent.xds import sotw, types
from vmagent.xds.messages import Ask, Give, Request
from vmagent.xds.node import build


def response(*clusters: str) -> bytes:
    message = discovery_pb2.DiscoveryResponse(version_info="v", type_url=types.CLUSTER, nonce="n")
    for name in clusters:
        message.resources.add().Pack(cluster_pb2.Cluster(name=name))
    return bytes(message.SerializeToString())


def test_a_response_is_taken_apart_by_resource_name() -> None:
    update = sotw.decode_response(response("web", "x" * 300))
    assert (update.type_url, update.version, update.nonce) == (types.CLUSTER, "v", "n")
    assert list(update.resources) == ["web", "x" * 300]
    assert cluster_pb2.Cluster.FromString(update.resources["web"]).name == "web"


def test_a_response_cut_anywhere_is_rejected_or_shorter_but_never_a_crash() -> None:
    whole = response("web", "db")
    for length in range(len(whole)):
        try:
            update = sotw.decode_response(whole[:length])
        except DecodeError:
            continue
        assert set(update.resources) <= {"web", "db"}


def test_what_was_held_is_sent_in_the_form_that_envoy_reads() -> None:
    value = cluster_pb2.Cluster(name="web").SerializeToString()
    data = sotw.encode_response(Give(types.CLUSTER, "7", "held-1", {"web": value}))
    message = discovery_pb2.DiscoveryResponse.FromString(data)
    cluster = cluster_pb2.Cluster()
    assert message.resources[0].Unpack(cluster)
    assert (message.version_info, message.nonce, cluster.name) == ("7", "held-1", "web")


def test_a_response_passes_as_it_came() -> None:
    raw = response("web")
    assert sotw.encode_response(Give(types.CLUSTER, "1", "n", {}, raw)) is raw


def test_a_response_without_a_nonce_cannot_be_answered() -> None:
    message = discovery_pb2.DiscoveryResponse(version_info="v", type_url=types.CLUSTER)
    with pytest.raises(DecodeError, match="without a nonce"):
        sotw.decode_response(message.SerializeToString())


@pytest.mark.parametrize(
    "value",
    [b"", b"\x12\x03web", b"\x0a", b"\x0a" + b"\x80" * 1_000_000, b"\x0a\xff\xff\xff\xff\xff\x01web"],
    ids=["empty", "another field", "cut", "endless length", "length of six bytes"],
)
def test_what_has_no_name_in_front_is_nameless(value: bytes) -> None:
    assert sotw.resource_name(value) == ""


def test_a_request_carries_names_version_nonce_error_and_once_the_node() -> None:
    node = build(node_id="id", cluster="c", locality="r/z", metadata={"NAME": "vm", "N": 3})
    ask = Ask(types.ENDPOINT, frozenset({"b", "a"}), "3", "n", "no such thing")
    message = discovery_pb2.DiscoveryRequest.FromString(sotw.encode_request(ask, node))
    assert list(message.resource_names) == ["a", "b"]
    assert (message.version_info, message.response_nonce) == ("3", "n")
    assert (message.error_detail.code, message.error_detail.message) == (13, "no such thing")
    assert (message.node.id, message.node.locality.region, message.node.locality.zone) == ("id", "r", "z")
    assert message.node.metadata["NAME"] == "vm"
    assert message.node.metadata["N"] == 3
    assert not discovery_pb2.DiscoveryRequest.FromString(sotw.encode_request(ask, None)).HasField("node")


@pytest.mark.parametrize("error", ["", "port 0"])
def test_envoys_requests_are_read(error: str) -> None:
    message = discovery_pb2.DiscoveryRequest(
        type_url=types.ENDPOINT, resource_names=["a"], response_nonce="n"
    )
    message.node.id = "envoy"
    message.node.extensions.add(name="envoy.filters.http.router")
    if error:
        message.error_detail.message = error
    request, node = sotw.decode_request(message.SerializeToString())
    assert request == Request(types.ENDPOINT, frozenset({"a"}), "n", error)
    assert [extension.name for extension in node.extensions] == ["envoy.filters.http.router"]
