"""Whole responses: rewritten as resource by resource, and faster the second time."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import any_pb2

from lab.controlplane import type_urls
from tests.unit.xds.compatibility import built
from tests.unit.xds.compatibility.nodes import istios, stock
from tests.unit.xds.compatibility.test_recordings import DELTA, WHOLE, name
from vmagent.xds.compatibility import Compatibility, repeats

EXCHANGE = {"istio.metadata_exchange": built.as_struct("envoy.tcp.metadataexchange.config.MetadataExchange")}
UNKNOWN = {"nobody.knows": built.typed("nobody.knows.Config")}
CLUSTER = type_urls.CLUSTER


def cluster(number: int, extensions: Mapping[str, any_pb2.Any] = EXCHANGE) -> Cluster:
    made = built.cluster_filters(extensions)
    assert isinstance(made, Cluster)
    made.name = f"outbound|80||service-{number}"
    return made


def packed(*clusters: Cluster) -> list[any_pb2.Any]:
    return [any_pb2.Any(type_url=CLUSTER, value=each.SerializeToString()) for each in clusters]


def sotw(*clusters: Cluster) -> bytes:
    made = discovery_pb2.DiscoveryResponse(
        version_info="v", type_url=CLUSTER, nonce="n", resources=packed(*clusters)
    )
    return bytes(made.SerializeToString())


def delta(*clusters: Cluster) -> bytes:
    made = discovery_pb2.DeltaDiscoveryResponse(
        system_version_info="v", type_url=CLUSTER, nonce="n", removed_resources=["gone"]
    )
    for each in packed(*clusters):
        made.resources.add(name="some", version="1", resource=each)
    return bytes(made.SerializeToString())


def one_by_one(data: bytes, compatibility: Compatibility, kind: type[Any]) -> Any:
    """What has to come out, as a message."""
    response = kind.FromString(data)
    for each in response.resources:
        inner = each if isinstance(each, any_pb2.Any) else each.resource
        adapted = compatibility.resource(inner.type_url, inner.value)
        assert isinstance(adapted, bytes)
        inner.value = adapted
    return response


@pytest.mark.parametrize("path", [*WHOLE, *DELTA], ids=name)
def test_a_recorded_response_is_what_its_resources_are_the_first_time_and_again(path: Path) -> None:
    incremental = path in DELTA
    kind = discovery_pb2.DeltaDiscoveryResponse if incremental else discovery_pb2.DiscoveryResponse
    data, compatibility = path.read_bytes(), stock()
    url = kind.FromString(data).type_url
    expected = one_by_one(data, stock(), kind)
    for _ in range(2):
        rewritten = compatibility.response(url, data, delta=incremental)
        assert rewritten is not None
        assert kind.FromString(rewritten) == expected
    assert istios().response(url, data, delta=incremental) is data


@pytest.mark.parametrize("incremental", [False, True], ids=["state of the world", "incremental"])
def test_what_changed_is_seen_among_what_stayed(incremental: bool) -> None:
    kind = discovery_pb2.DeltaDiscoveryResponse if incremental else discovery_pb2.DiscoveryResponse
    make, compatibility = (delta if incremental else sotw), stock()
    plain = cluster(9, {})
    changed = cluster(2)
    changed.connect_timeout.seconds = 7
    for clusters in ([cluster(1), plain, cluster(2)], [cluster(1), plain, changed], [plain], [changed]):
        data = make(*clusters)
        rewritten = compatibility.response(CLUSTER, data, delta=incremental)
        assert rewritten is not None
        assert kind.FromString(rewritten) == one_by_one(data, stock(), kind)
        assert (rewritten == data) == (clusters == [plain])


def test_a_response_with_something_refused_is_looked_at_as_a_whole_each_time() -> None:
    compatibility = stock()
    for _ in range(2):
        assert compatibility.response(CLUSTER, sotw(cluster(1), cluster(2, UNKNOWN)), delta=False) is None
    assert compatibility.response(CLUSTER, sotw(cluster(1)), delta=False) is not None


def test_lengths_that_are_written_wider_than_they_need_to_be_are_looked_at_as_a_whole() -> None:
    [entry] = packed(cluster(1))
    value = entry.SerializeToString()
    wide = b"\x12" + bytes([len(value) & 0x7F | 0x80, len(value) >> 7 | 0x80, 0]) + value + b'"\x01t*\x01n'
    assert discovery_pb2.DiscoveryResponse.FromString(wide).resources[0] == entry
    assert stock().response(CLUSTER, wide, delta=False) is None


def test_what_is_no_resource_is_looked_at_as_a_whole() -> None:
    broken = b"\x12\x1a\xff" + b"istio.metadata_exchange..." + b"*\x01n"
    assert stock().response(CLUSTER, broken, delta=False) is None


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeats, "MOST", 3)
    asked: list[bytes] = []

    def adapt(_: str, value: bytes) -> bytes:
        asked.append(value)
        return value + b"!"

    remembering = repeats.Repeats(adapt)
    data = sotw(*(cluster(number) for number in range(4)))
    for _ in range(2):
        remembering.rewrite(CLUSTER, data, delta=False)
    assert len(asked) == 8
    few = sotw(cluster(1), cluster(2))
    asked.clear()
    for _ in range(3):
        remembering.rewrite(CLUSTER, few, delta=False)
    assert len(asked) == 2
