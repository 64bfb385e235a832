"""The state-of-the-world codec: what ``session.py`` says, as bytes on a StreamAggregatedResources stream.

Only the envelope is read. A resource stays the bytes it came as, but for its name, which every xDS type has
as its first field.
"""

import sys
from typing import Final

from google.protobuf.message import DecodeError

from vmagent._pb import wire_pb2 as wire
from vmagent.xds import envelope, types
from vmagent.xds.messages import Ask, Give, Request, Update
from vmagent.xds.resources import Blob, Piece, Resources

METHOD: Final = "StreamAggregatedResources"

INTERNAL: Final = 13
"""google.rpc.Code, what Istio's agent puts into every rejection."""

# Fields of DiscoveryResponse, of google.protobuf.Any, and the one all resources have in common.
_VERSION, _RESOURCES, _TYPE_URL, _NONCE = 1, 2, 4, 5
_VALUE = 2
_NAME = 1

BEHIND: Final = (_TYPE_URL, types.PREFIX.encode())
"""What stands behind the resources, in both variants, and how it begins."""


def decode_response(data: bytes) -> Update:
    """Raises google.protobuf.message.DecodeError when ``data`` is no DiscoveryResponse, or none that can be
    answered.
    """
    fields = envelope.skim(data, _RESOURCES, BEHIND)
    type_url, version, nonce = (last(fields, number) for number in (_TYPE_URL, _VERSION, _NONCE))
    if not nonce:  # our answer would look like a first request, and be answered, for ever
        raise DecodeError(f"a response of type {type_url} without a nonce")
    blob = Blob(data)
    return Update(type_url, version, nonce, Resources.of_response(blob, _find), blob)


def encode_request(ask: Ask, node: wire.Node | None) -> bytes:
    """``node`` belongs to the first request of a stream and to no other."""
    request = wire.DiscoveryRequest(
        version_info=ask.version,
        resource_names=sorted(ask.names),
        type_url=ask.type_url,
        response_nonce=ask.nonce,
        node=node,
    )
    if ask.error:
        request.error_detail.code = INTERNAL
        request.error_detail.message = ask.error
    return request.SerializeToString()


def decode_request(data: bytes) -> tuple[Request, wire.Node]:
    """What Envoy sent, and its node, which is empty in all but the first request of a stream."""
    request = wire.DiscoveryRequest.FromString(data)
    return (
        Request(
            request.type_url,
            frozenset(map(sys.intern, request.resource_names)),
            request.response_nonce,
            rejection(request),
        ),
        request.node,
    )


def encode_response(give: Give) -> bytes:
    """What passes as it came has its nonce in it."""
    if give.raw:
        return bytes(give.raw)
    return wire.DiscoveryResponse(
        version_info=give.version,
        type_url=give.type_url,
        nonce=give.nonce,
        resources=(wire.Any(type_url=give.type_url, value=value) for value in give.resources.values()),
    ).SerializeToString()


def last(fields: dict[int, list[bytes]], number: int) -> str:
    """Of a text that comes twice the last counts."""
    return fields[number][-1].decode("utf-8", "replace") if number in fields else ""


def rejection(request: wire.DiscoveryRequest | wire.DeltaDiscoveryRequest) -> str:
    """Empty if Envoy does not reject anything."""
    if not request.HasField("error_detail"):
        return ""
    return request.error_detail.message or f"code {request.error_detail.code}"


def resource_name(value: bytes) -> str:
    """The first field of a Cluster, Listener, RouteConfiguration, ClusterLoadAssignment, …; empty for a name
    table.
    """
    return _name(value, 0, len(value))


def _name(data: bytes, start: int, end: int) -> str:
    if start == end or data[start] != _NAME << 3 | envelope.DELIMITED:
        return ""
    return envelope.text(data, envelope.opening(data, start, end))


def _find(blob: Blob) -> dict[str, Piece]:
    """A resource without a name counts as one nameless resource: the name table. Raises DecodeError."""
    data, found = bytes(blob), dict[str, Piece]()
    envelope.check(data, _RESOURCES)
    for begin, end in envelope.spans(data, _RESOURCES):
        start, stop = envelope.places(data, begin, end).get(_VALUE, (begin, begin))
        found[_name(data, start, stop)] = Piece(blob, start, stop - start)
    return found
