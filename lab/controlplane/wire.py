"""The two variants of ADS on the wire: gRPC method, messages, and the session that decides.

Does not:  hold any state, or know streams.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from envoy.service.discovery.v3 import discovery_pb2

from lab.controlplane.delta import DeltaSession
from lab.controlplane.session import DeltaRequest, Request, Respond, RespondDelta, Session
from lab.controlplane.sotw import SotwSession


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    name: str
    method: str
    parse: Callable[[bytes], Any]
    """Bytes to the request's message."""
    read: Callable[[Any], Request | DeltaRequest]
    session: type[Session]


def _request(message: discovery_pb2.DiscoveryRequest) -> Request:
    return Request(
        type_url=message.type_url,
        names=tuple(message.resource_names),
        nonce=message.response_nonce,
        error=_error(message),
        code=message.error_detail.code,
    )


def _delta_request(message: discovery_pb2.DeltaDiscoveryRequest) -> DeltaRequest:
    return DeltaRequest(
        type_url=message.type_url,
        subscribe=tuple(message.resource_names_subscribe),
        unsubscribe=tuple(message.resource_names_unsubscribe),
        known=dict(message.initial_resource_versions),
        nonce=message.response_nonce,
        error=_error(message),
        code=message.error_detail.code,
    )


def _error(message: Any) -> str | None:
    return message.error_detail.message if message.HasField("error_detail") else None


SOTW: Final = Variant(
    name="sotw",
    method="StreamAggregatedResources",
    parse=discovery_pb2.DiscoveryRequest.FromString,
    read=_request,
    session=SotwSession,
)
DELTA: Final = Variant(
    name="delta",
    method="DeltaAggregatedResources",
    parse=discovery_pb2.DeltaDiscoveryRequest.FromString,
    read=_delta_request,
    session=DeltaSession,
)


def written(command: Respond | RespondDelta, *, versions: bool) -> bytes:
    """The bytes of a response. Without ``versions`` those of the resources stay empty, as istiod's are."""
    if isinstance(command, Respond):
        response = discovery_pb2.DiscoveryResponse(
            version_info=command.version,
            nonce=command.nonce,
            type_url=command.type_url,
            resources=command.resources,
        )
    else:
        response = discovery_pb2.DeltaDiscoveryResponse(
            system_version_info=command.version,
            nonce=command.nonce,
            type_url=command.type_url,
            removed_resources=command.removed,
        )
        for name, resource in command.resources.items():
            version = command.versions[name] if versions else ""
            response.resources.add(name=name, version=version, resource=resource)
    return bytes(response.SerializeToString())
