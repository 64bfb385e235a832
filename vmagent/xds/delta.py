"""The incremental codec: what ``session.py`` says, as bytes on a DeltaAggregatedResources stream.

Only the envelope is read, as in sotw.py. Here a resource carries its name and version beside it.
"""

import sys
from typing import Final

from google.protobuf.message import DecodeError

from vmagent._pb import wire_pb2 as wire
from vmagent.xds import envelope
from vmagent.xds.messages import DeltaAsk, DeltaRequest, Give, Update
from vmagent.xds.resources import Blob, Piece, Resources
from vmagent.xds.sotw import BEHIND, INTERNAL, last, rejection

METHOD: Final = "DeltaAggregatedResources"

# Fields of DeltaDiscoveryResponse, Resource, ResourceName and google.protobuf.Any.
_VERSION, _RESOURCES, _TYPE_URL, _NONCE, _REMOVED, _REMOVED_NAMES = 1, 2, 4, 5, 6, 8
_RESOURCE_VERSION, _RESOURCE_ANY, _RESOURCE_NAME = 1, 2, 3
_NAME = 1
_VALUE = 2


def decode_response(data: bytes) -> Update:
    """Raises google.protobuf.message.DecodeError when ``data`` is no DeltaDiscoveryResponse, or none that can
    be answered.
    """
    fields = envelope.skim(data, _RESOURCES, BEHIND)
    type_url, version, nonce = (last(fields, number) for number in (_TYPE_URL, _VERSION, _NONCE))
    if not nonce:
        raise DecodeError(f"a response of type {type_url} without a nonce")
    blob = Blob(data)
    resources = Resources.of_response(blob, _find)
    return Update(type_url, version, nonce, resources, blob, removed=_removed(fields), delta=True)


def encode_request(ask: DeltaAsk, node: wire.Node | None) -> bytes:
    """``node`` belongs to the first request of a stream and to no other."""
    request = wire.DeltaDiscoveryRequest(
        node=node,
        type_url=ask.type_url,
        resource_names_subscribe=sorted(ask.subscribe),
        resource_names_unsubscribe=sorted(ask.unsubscribe),
        initial_resource_versions=dict(ask.versions),
        response_nonce=ask.nonce,
    )
    if ask.error:
        request.error_detail.code = INTERNAL
        request.error_detail.message = ask.error
    return request.SerializeToString()


def decode_request(data: bytes) -> tuple[DeltaRequest, wire.Node]:
    """What Envoy sent, and its node, which is empty in all but the first request of a stream."""
    request = wire.DeltaDiscoveryRequest.FromString(data)
    return (
        DeltaRequest(
            request.type_url,
            frozenset(map(sys.intern, request.resource_names_subscribe)),
            frozenset(request.resource_names_unsubscribe),
            dict(request.initial_resource_versions),
            request.response_nonce,
            rejection(request),
        ),
        request.node,
    )


def encode_response(give: Give) -> bytes:
    """What passes as it came has its nonce in it."""
    if give.raw:
        return bytes(give.raw)
    return wire.DeltaDiscoveryResponse(
        system_version_info=give.version,
        type_url=give.type_url,
        nonce=give.nonce,
        removed_resources=sorted(give.removed),
        resources=(
            wire.Resource(
                name=name,
                version=give.versions.get(name, ""),
                resource=wire.Any(type_url=give.type_url, value=value),
            )
            for name, value in give.resources.items()
        ),
    ).SerializeToString()


def _removed(fields: dict[int, list[bytes]]) -> tuple[str, ...]:
    """Said as plain names, or as names with parameters, which are left aside."""
    plain = [name.decode("utf-8", "replace") for name in fields.get(_REMOVED, ())]
    named = [
        envelope.text(each, envelope.places(each, 0, len(each)).get(_NAME))
        for each in fields.get(_REMOVED_NAMES, ())
    ]
    return (*plain, *named)


def _find(blob: Blob) -> dict[str, Piece]:
    """An entry without a resource only says that one is still the same, and is left aside. Raises
    DecodeError.
    """
    data, found = bytes(blob), dict[str, Piece]()
    envelope.check(data, _RESOURCES)
    for begin, end in envelope.spans(data, _RESOURCES):
        entry = envelope.places(data, begin, end)
        if packed := entry.get(_RESOURCE_ANY):
            start, stop = envelope.places(data, *packed).get(_VALUE, packed[:1] * 2)
            version = envelope.text(data, entry.get(_RESOURCE_VERSION))
            name = envelope.text(data, entry.get(_RESOURCE_NAME))
            found[name] = Piece(blob, start, stop - start, version)
    return found
