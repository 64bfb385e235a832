"""What a route changes in the filters that a request passes: faults that are injected, and CORS."""

from collections.abc import Mapping
from typing import Final

from envoy.extensions.filters.common.fault.v3 import fault_pb2 as delay_pb2
from envoy.extensions.filters.http.cors.v3 import cors_pb2
from envoy.extensions.filters.http.fault.v3 import fault_pb2
from google.protobuf import any_pb2

from lab.controlplane.kinds.http_filters import Cors, Fault
from lab.controlplane.snapshot.packing import pack, percent, seconds
from lab.controlplane.snapshot.route_match import string_matcher

_FAULT: Final = "envoy.filters.http.fault"
_CORS: Final = "envoy.filters.http.cors"


def per_route(fault: Fault | None, cors: Cors | None) -> Mapping[str, any_pb2.Any]:
    made = {}
    if fault is not None:
        made[_FAULT] = pack(_fault(fault))
    if cors is not None:
        made[_CORS] = pack(_cors(cors))
    return made


def _fault(fault: Fault) -> fault_pb2.HTTPFault:
    made = fault_pb2.HTTPFault()
    if fault.delay is not None:
        made.delay.CopyFrom(delay_pb2.FaultDelay(fixed_delay=seconds(fault.delay)))
        made.delay.percentage.CopyFrom(percent(fault.delay_percent, nothing=0))
    if fault.abort is not None:
        made.abort.http_status = fault.abort
    if fault.abort_grpc is not None:
        made.abort.grpc_status = fault.abort_grpc
    if made.HasField("abort") and fault.abort_percent is not None:
        made.abort.percentage.CopyFrom(percent(fault.abort_percent))
    return made


def _cors(cors: Cors) -> cors_pb2.CorsPolicy:
    made = cors_pb2.CorsPolicy(
        allow_origin_string_match=[string_matcher(each) for each in cors.origins],
        allow_methods=",".join(cors.methods),
        allow_headers=",".join(cors.headers),
        expose_headers=",".join(cors.expose),
        forward_not_matching_preflights={"value": cors.forward_preflights},
        max_age="" if cors.max_age is None else str(int(cors.max_age)),
    )
    made.filter_enabled.default_value.CopyFrom(percent(None))
    if cors.credentials is not None:
        made.allow_credentials.value = cors.credentials
    return made
