"""Route tables: which host goes to which cluster. One per HTTP port outbound, one per own port inbound."""

from collections.abc import Iterator
from typing import Final

from envoy.config.core.v3 import base_pb2
from envoy.config.route.v3.route_components_pb2 import RetryPolicy, Route, RouteAction, VirtualHost
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.retry.host.previous_hosts.v3 import previous_hosts_pb2

from lab.controlplane.kinds.routing import Destination, HttpRoute, VirtualService
from lab.controlplane.snapshot import names
from lab.controlplane.snapshot.packing import pack, seconds, struct
from lab.controlplane.snapshot.view import Seen, View

_ALLOW_ANY: Final = "allow_any"
"""The virtual host of everything the mesh does not know: outboundTrafficPolicy ALLOW_ANY, Istio's default."""
_DEFAULT: Final = "default"

_RETRIES: Final = 2
"""Istio's default for outbound and inbound."""
_RETRY_ON: Final = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"
_RETRY_INBOUND_ON: Final = "reset-before-request"
"""Only what certainly never reached the application."""
_OTHER_HOST_ATTEMPTS: Final = 5
"""How often a retry looks for an endpoint that has not failed yet."""
_DIRECT_RESPONSE_BYTES: Final = 2**20


def routes(view: View) -> Iterator[RouteConfiguration]:
    for port in view.http_ports():
        yield RouteConfiguration(
            name=str(port),
            virtual_hosts=_distinct(
                [*_unserved_hosts(view, port), *_service_hosts(view, port), _allow_any()]
            ),
            validate_clusters={"value": False},
            max_direct_response_body_size_bytes={"value": _DIRECT_RESPONSE_BYTES},
            ignore_port_in_host_matching=True,
        )


def inbound_routes(*, name: str, port: int, cluster: str, operation: str) -> RouteConfiguration:
    """Everything that arrives on the port goes to the application. Pass-through chains have port 0."""
    action = RouteAction(
        cluster=cluster,
        timeout=seconds(0),
        retry_policy={"retry_on": _RETRY_INBOUND_ON, "num_retries": {"value": _RETRIES}},
        max_stream_duration={"max_stream_duration": seconds(0), "grpc_timeout_header_max": seconds(0)},
    )
    host = VirtualHost(
        name=f"inbound|http|{port}", domains=["*"], routes=[_route(_DEFAULT, action, operation)]
    )
    return RouteConfiguration(name=name, virtual_hosts=[host], validate_clusters={"value": False})


def _distinct(hosts: list[VirtualHost]) -> list[VirtualHost]:
    """Each domain once, the first to name it wins: Envoy refuses a table as a whole that has one twice."""
    taken: set[str] = set()
    for host in hosts:
        own = [domain for domain in dict.fromkeys(host.domains) if domain not in taken]
        taken.update(own)
        host.domains[:] = own
    return [host for host in hosts if host.domains]


def _service_hosts(view: View, port: int) -> Iterator[VirtualHost]:
    for seen in view.services:
        if not any(each.number == port and each.protocol.http for each in seen.service.ports):
            continue
        governing = next((each for each in view.virtual_services if seen.host in view.hosts(each)), None)
        yield VirtualHost(
            name=names.virtual_host(seen.host, port),
            # A resolver may hand over the name with its final dot; a client may use the address itself.
            domains=[seen.host, f"{seen.host}.", *seen.single_addresses],
            routes=_governed(view, governing, port) if governing and governing.http else [_plain(seen, port)],
            include_request_attempt_count=True,
        )


def _unserved_hosts(view: View, port: int) -> Iterator[VirtualHost]:
    """Hosts of VirtualServices that no service has: the documents' trap, where a short `xxx` lands."""
    served = {seen.host for seen in view.services}
    for virtual_service in view.virtual_services:
        for host in view.hosts(virtual_service):
            if host not in served and virtual_service.http:
                yield VirtualHost(
                    name=names.virtual_host(host, port),
                    domains=[host],
                    routes=_governed(view, virtual_service, port),
                    include_request_attempt_count=True,
                )


def _allow_any() -> VirtualHost:
    action = RouteAction(cluster=names.PASSTHROUGH, timeout=seconds(0), max_grpc_timeout=seconds(0))
    return VirtualHost(
        name=_ALLOW_ANY,
        domains=["*"],
        routes=[_route(_ALLOW_ANY, action)],
        include_request_attempt_count=True,
    )


def _plain(seen: Seen, port: int) -> Route:
    action = RouteAction(cluster=names.outbound(port, seen.host), **_outbound_policy())
    return _route(_DEFAULT, action, names.operation(seen.host, port))


def _governed(view: View, virtual_service: VirtualService, port: int) -> list[Route]:
    return [_chosen(view, virtual_service, each, port) for each in virtual_service.http]


def _chosen(view: View, virtual_service: VirtualService, http: HttpRoute, port: int) -> Route:
    about = virtual_service.metadata
    if len(http.destinations) == 1:
        only = http.destinations[0]
        action = RouteAction(cluster=_cluster(view, virtual_service, only, port), **_outbound_policy())
        operation = names.operation(_host(view, virtual_service, only), only.port or port)
    else:
        weighted = [
            {"name": _cluster(view, virtual_service, each, port), "weight": {"value": each.weight}}
            for each in http.destinations
            if each.weight  # as istiod: a destination that gets nothing is not mentioned
        ]
        action = RouteAction(weighted_clusters={"clusters": weighted}, **_outbound_policy())
        operation = names.operation(about.name, port)
    route = _route(http.name, action, operation)
    config = names.configuration("virtual-service", about.namespace, about.name)
    route.metadata.CopyFrom(base_pb2.Metadata(filter_metadata={"istio": struct({"config": config})}))
    return route


def _cluster(view: View, virtual_service: VirtualService, to: Destination, port: int) -> str:
    return names.outbound(to.port or port, _host(view, virtual_service, to), to.subset)


def _host(view: View, virtual_service: VirtualService, to: Destination) -> str:
    return names.absolute(to.host, virtual_service.metadata.namespace, view.mesh.dns_domain)


def _outbound_policy() -> dict[str, object]:
    """No timeout of the mesh's own, and two retries on another endpoint."""
    retry = RetryPolicy(
        retry_on=_RETRY_ON,
        num_retries={"value": _RETRIES},
        retry_host_predicate=[
            {
                "name": "envoy.retry_host_predicates.previous_hosts",
                "typed_config": pack(previous_hosts_pb2.PreviousHostsPredicate()),
            }
        ],
        host_selection_retry_max_attempts=_OTHER_HOST_ATTEMPTS,
    )
    return {"timeout": seconds(0), "retry_policy": retry, "max_grpc_timeout": seconds(0)}


def _route(name: str, action: RouteAction, operation: str = "") -> Route:
    route = Route(name=name, match={"prefix": "/"}, route=action)
    if operation:
        route.decorator.operation = operation
    return route
