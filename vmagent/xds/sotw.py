"""The state-of-the-world codec: what ``session.py`` says, as bytes on a StreamAggregatedResources stream.

Only the envelope is read. A resource stays the bytes it came as, but for its name, which every xDS type has
as its first field.
"""

from vmagent._pb import wire_pb2 as wire
from vmagent.xds.session import Ask, Give, Request, Update

UPSTREAM = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"

INTERNAL = 13
"""google.rpc.Code, what Istio's agent puts into every rejection."""

_NAME_TAG = 0x0A  # field 1, length-delimited


def decode_response(data: bytes) -> Update:
    """Raises google.protobuf.message.DecodeError when ``data`` is no DiscoveryResponse."""
    response = wire.DiscoveryResponse.FromString(data)
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
    if give.raw:
        return give.raw
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
    length, shift, at = 0, 0, 1
    while at < len(value):
        byte = value[at]
        length |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            break
    return value[at : at + length].decode("utf-8", "replace")
