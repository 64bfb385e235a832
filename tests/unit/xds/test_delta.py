"""The incremental codec against the public stubs, a real istiod's stream and hostile bytes."""

from pathlib import Path

import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.message import DecodeError

from tests.conftest import RECORDINGS
from vmagent.xds import delta, types
from vmagent.xds.messages import DeltaAsk, DeltaRequest, Give
from vmagent.xds.node import build
from vmagent.xds.resources import Resources

RECORDED: list[Path | None] = [
    *sorted((RECORDINGS / "istiod-1.29.6" / "delta-session").glob("*-response.pb"))
] or [None]


def response(*clusters: str, removed: tuple[str, ...] = ()) -> bytes:
    message = discovery_pb2.DeltaDiscoveryResponse(
        system_version_info="v", type_url=types.CLUSTER, nonce="n", removed_resources=removed
    )
    for name in clusters:
        entry = message.resources.add(name=name, version=f"version of {name}")
        entry.resource.Pack(cluster_pb2.Cluster(name=name))
    return bytes(message.SerializeToString())


def test_a_response_is_taken_apart_by_name_with_versions_and_what_is_no_more() -> None:
    update = delta.decode_response(response("web", "x" * 300, removed=("old", "older")))
    assert (update.type_url, update.version, update.nonce) == (types.CLUSTER, "v", "n")
    assert update.delta
    assert update.removed == ("old", "older")
    assert isinstance(update.resources, Resources)
    assert list(update.resources) == ["web", "x" * 300]
    assert cluster_pb2.Cluster.FromString(update.resources["web"]).name == "web"
    assert update.resources.versions["web"] == "version of web"


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem if path else "none")
def test_what_a_real_istiod_sent_is_read_as_the_public_stubs_read_it(path: Path | None) -> None:
    if path is None:
        pytest.skip("../shared/recordings is not present")
    data = path.read_bytes()
    update, public = delta.decode_response(data), discovery_pb2.DeltaDiscoveryResponse.FromString(data)
    assert dict(update.resources) == {each.name: each.resource.value for each in public.resources}
    assert update.removed == tuple(public.removed_resources)
    assert (update.type_url, update.version, update.nonce) == (
        public.type_url,
        public.system_version_info,
        public.nonce,
    )


def test_names_with_parameters_that_are_no_more_count_by_their_name() -> None:
    message = discovery_pb2.DeltaDiscoveryResponse(type_url=types.CLUSTER, nonce="n")
    message.removed_resource_names.add(name="old")
    assert delta.decode_response(message.SerializeToString()).removed == ("old",)


def test_an_entry_without_a_resource_brings_none_and_one_that_is_empty_does() -> None:
    message = discovery_pb2.DeltaDiscoveryResponse(type_url=types.NAME_TABLE, nonce="n")
    message.resources.add(name="heartbeat").ttl.seconds = 5
    message.resources.add(name="empty").resource.type_url = types.NAME_TABLE
    assert dict(delta.decode_response(message.SerializeToString()).resources) == {"empty": b""}


def test_a_response_without_a_nonce_cannot_be_answered() -> None:
    message = discovery_pb2.DeltaDiscoveryResponse(type_url=types.CLUSTER)
    with pytest.raises(DecodeError, match="without a nonce"):
        delta.decode_response(message.SerializeToString())


def test_a_response_cut_anywhere_is_rejected_or_shorter_but_never_a_crash() -> None:
    whole = response("web", "db", removed=("old",))
    for length in range(len(whole)):
        try:
            update = delta.decode_response(whole[:length])
        except DecodeError:
            continue
        assert set(update.resources) <= {"web", "db"}


def test_what_was_held_is_sent_in_the_form_that_envoy_reads() -> None:
    value = cluster_pb2.Cluster(name="web").SerializeToString()
    give = Give(
        types.CLUSTER,
        "7",
        "held-1",
        {"web": value},
        removed=frozenset({"old"}),
        versions={"web": "3"},
        delta=True,
    )
    message = discovery_pb2.DeltaDiscoveryResponse.FromString(delta.encode_response(give))
    [entry] = message.resources
    cluster = cluster_pb2.Cluster()
    assert entry.resource.Unpack(cluster)
    assert (entry.name, entry.version, cluster.name) == ("web", "3", "web")
    assert (message.system_version_info, message.nonce) == ("7", "held-1")
    assert list(message.removed_resources) == ["old"]


def test_a_response_passes_as_it_came() -> None:
    raw = response("web")
    assert delta.encode_response(Give(types.CLUSTER, "1", "n", {}, raw, delta=True)) is raw


def test_a_request_says_what_is_new_what_is_over_what_is_here_and_once_who_we_are() -> None:
    node = build(node_id="id", cluster="c", locality="", metadata={})
    ask = DeltaAsk(types.ENDPOINT, frozenset("ba"), frozenset("c"), {"a": "1"}, "n", "no such thing")
    message = discovery_pb2.DeltaDiscoveryRequest.FromString(delta.encode_request(ask, node))
    assert list(message.resource_names_subscribe) == ["a", "b"]
    assert list(message.resource_names_unsubscribe) == ["c"]
    assert dict(message.initial_resource_versions) == {"a": "1"}
    assert (message.response_nonce, message.node.id) == ("n", "id")
    assert (message.error_detail.code, message.error_detail.message) == (13, "no such thing")
    again = discovery_pb2.DeltaDiscoveryRequest.FromString(delta.encode_request(ask, None))
    assert not again.HasField("node")


@pytest.mark.parametrize("error", ["", "port 0"])
def test_envoys_requests_are_read(error: str) -> None:
    message = discovery_pb2.DeltaDiscoveryRequest(
        type_url=types.ENDPOINT,
        resource_names_subscribe=["a"],
        resource_names_unsubscribe=["b"],
        initial_resource_versions={"a": "1"},
        response_nonce="n",
    )
    message.node.extensions.add(name="envoy.filters.http.router")
    if error:
        message.error_detail.message = error
    request, node = delta.decode_request(message.SerializeToString())
    assert request == DeltaRequest(types.ENDPOINT, frozenset("a"), frozenset("b"), {"a": "1"}, "n", error)
    assert [extension.name for extension in node.extensions] == ["envoy.filters.http.router"]
