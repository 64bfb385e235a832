"""Fields found without decoding what holds them, against the public stubs and hostile bytes."""

import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import any_pb2
from google.protobuf.message import DecodeError

from vmagent.xds import envelope, types

RESOURCES, REMOVED = 2, 6
BEHIND = (4, b"type.googleapis.com/")


def response(*sizes: int) -> bytes:
    message = discovery_pb2.DeltaDiscoveryResponse(
        system_version_info="v", type_url=types.CLUSTER, nonce="n", removed_resources=["a", "b"]
    )
    for number, size in enumerate(sizes):
        cluster = cluster_pb2.Cluster(name=f"c{number}", alt_stat_name="x" * size)
        message.resources.add(name=cluster.name).resource.Pack(cluster)
    return bytes(message.SerializeToString())


def skim(data: bytes) -> envelope.Fields:
    return envelope.skim(data, RESOURCES, BEHIND)


def test_all_but_the_bulk_is_told_by_number() -> None:
    assert skim(response(1, 2)) == {
        1: [b"v"],
        4: [types.CLUSTER.encode()],
        5: [b"n"],
        REMOVED: [b"a", b"b"],
    }


@pytest.mark.parametrize("size", [0, 100, 127, 128, 16_000, 17_000, 3_000_000], ids=str)
def test_lengths_of_one_to_four_bytes_are_stepped_over_and_found(size: int) -> None:
    data = response(size, 1)
    assert set(skim(data)) == {1, 4, 5, REMOVED}
    found = [
        discovery_pb2.Resource.FromString(data[begin:end]).name
        for begin, end in envelope.spans(data, RESOURCES)
    ]
    assert found == ["c0", "c1"]


LARGE = envelope.LARGE
ENDS = {1: [b"v"], 4: [types.CLUSTER.encode()], 5: [b"n"], REMOVED: [b"a", b"b"]}


def test_of_a_large_response_the_ends_alone_are_read() -> None:
    """That every resource is stepped over would show by its damage."""
    data = bytearray(response(LARGE, 1, LARGE))
    second = data.index(b"c1") - 2
    assert skim(bytes(data)) == ENDS
    data[second - 2 : second] = b"\xff" * 2
    assert skim(bytes(data)) == ENDS
    data[second + LARGE :] = b""
    with pytest.raises(DecodeError):
        skim(bytes(data))


@pytest.mark.parametrize(
    "order", ["vrtn", "rvtn", "rrvtn", "tnrv", "vtrn", "vrtnr", "vtnr", "vrtnvrn", "vttn", "rrr"]
)
def test_fields_are_found_in_any_order(order: str) -> None:
    message = discovery_pb2.DiscoveryResponse
    resource = any_pb2.Any(type_url=types.CLUSTER, value=b"x" * LARGE)
    parts = {
        "v": message(version_info="v"),
        "r": message(resources=[resource]),
        "t": message(type_url=types.CLUSTER),
        "n": message(nonce="n"),
    }
    data = b"".join(bytes(parts[letter].SerializeToString()) for letter in order)
    known = {1: b"v", 4: types.CLUSTER.encode(), 5: b"n"}
    assert skim(data) == {
        number: [known[number]] * order.count(letter)
        for number, letter in zip(known, "vtn", strict=True)
        if letter in order
    }


def test_fields_that_are_numbers_are_stepped_over() -> None:
    message = discovery_pb2.DiscoveryResponse(canary=True, nonce="n")
    resource = discovery_pb2.Resource(name="x")
    resource.ttl.seconds = 1 << 40
    for data, known in ((message.SerializeToString(), {5: [b"n"]}), (b"\x0d1234\x09" + b"12345678", {})):
        assert skim(data) == known
    data = resource.SerializeToString()
    assert envelope.text(data, envelope.places(data, 0, len(data))[3]) == "x"


def test_bytes_cut_anywhere_are_rejected_or_a_shorter_message_and_never_read_beyond_their_end() -> None:
    whole = response(3, 200)
    ends = {0, *(end for _, end in envelope.spans(whole, RESOURCES))}
    for length in range(len(whole)):
        try:
            found = skim(whole[:length])
        except DecodeError:
            continue
        assert found.keys() <= {1, 4, 5, REMOVED}
        assert length in ends or found, length
        assert len(list(envelope.spans(whole[:length], RESOURCES))) <= 2


@pytest.mark.parametrize(
    "data",
    [
        b"\x0a\xff",
        b"\x12\x05abc",
        b"\x0b",
        b"\x0a" + b"\x80" * 100,
        b"\x0a\xff\xff\xff\xff\xff\x01",
        b"\x80" * 100,
    ],
    ids=["cut length", "too short", "a group", "endless length", "length of six bytes", "endless tag"],
)
def test_what_is_no_message_is_rejected(data: bytes) -> None:
    with pytest.raises(DecodeError):
        skim(data)
    assert list(envelope.spans(data, RESOURCES)) == []


def test_an_entry_that_is_damaged_inside_has_no_fields_and_no_neighbours() -> None:
    damaged = b"\x12\x01a\x1a\x7fx"  # a name of 127 bytes, of which one is there
    followed = damaged + b"y" * 200
    assert envelope.places(followed, 0, len(damaged)) == {2: (2, 3)}
    assert envelope.opening(followed, 3, len(damaged)) is None
    assert envelope.opening(followed, 0, len(damaged)) == (2, 3)
    assert envelope.text(followed, None) == ""


def test_of_a_field_that_comes_twice_the_first_is_found() -> None:
    data = b"\x0a\x01a\x0a\x01b"
    assert envelope.places(data, 0, len(data)) == {1: (2, 3)}
