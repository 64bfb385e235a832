"""The state-of-the-world codec: what ``session.py`` says, as bytes on a StreamAggregatedResources stream.

Only the envelope is read. A resource stays the bytes it came as, but for its name, which every xDS type has
as its first field.
"""

from google.protobuf.message import DecodeError

from vmagent._pb import wire_pb2 as wire
from vmagent.xds.messages import Ask, Give, Request, Update

UPSTREAM = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"

INTERNAL = 13
"""google.rpc.Code, what Istio's agent puts into every rejection."""

_NAME_TAG = 0x0A  # field 1, length-delimited
_LONGEST_VARINT = 5
"""Bytes of a length below 4 GiB; protobuf's own limit is 2."""


def decode_response(data: bytes) -> Update:
    """Raises google.protobuf.message.DecodeError when ``data`` is no DiscoveryResponse, or none that can be
    answered.
    """
    response = wire.DiscoveryResponse.FromString(data)
    if not response.nonce:  # our answer would look like a first request, and be answered, for ever
        raise DecodeError(f"a response of type {response.type_url} without a nonce")
    resources = {resource_name(resource.value): resource.value for resource in response.resources}
    return Update(response.type_url, response.version_info, response.nonce, resources, data)


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
    error = request.error_detail.message or f"code {request.error_detail.code}"
    return (
        Request(
            request.type_url,
            frozenset(request.resource_names),
            request.response_nonce,
            error if request.HasField("error_detail") else "",
        ),
        request.node,
    )


def encode_response(give: Give) -> bytes:
    """Of a field that comes twice protobuf takes the last, so the nonce behind ``raw`` counts."""
    if give.raw:
        return give.raw + wire.DiscoveryResponse(nonce=give.nonce).SerializeToString()
    return wire.DiscoveryResponse(
        version_info=give.version,
        type_url=give.type_url,
        nonce=give.nonce,
        resources=(wire.Any(type_url=give.type_url, value=value) for value in give.resources.values()),
    ).SerializeToString()


def resource_name(value: bytes) -> str:
    """The first field of a Cluster, Listener, RouteConfiguration, ClusterLoadAssignment, …; empty for a name
    table.
    """
    if not value or value[0] != _NAME_TAG:
        return ""
    length = 0
    for at, byte in enumerate(value[1 : 1 + _LONGEST_VARINT]):
        length |= (byte & 0x7F) << 7 * at
        if byte < 0x80:
            return value[at + 2 : at + 2 + length].decode("utf-8", "replace")
    return ""
