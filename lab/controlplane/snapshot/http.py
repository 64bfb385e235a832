"""The HTTP connection manager of both directions: the filters requests pass, and what is said about the peer.

Does not:  contain istio.metadata_exchange, istio.alpn and istio.stats, which a stock Envoy has not got: see
           istio_filters.py.
Surprise:  without istio.alpn a client offers plain `istio` where a real mesh offers `istio-http/1.1`. Chains
           of a service port take both; on a port that no service names the bytes are passed on unread.
"""

from collections.abc import Iterator
from typing import Final

from envoy.config.core.v3 import config_source_pb2
from envoy.config.listener.v3.listener_components_pb2 import Filter
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.http.cors.v3 import cors_pb2
from envoy.extensions.filters.http.fault.v3 import fault_pb2
from envoy.extensions.filters.http.grpc_stats.v3 import config_pb2 as grpc_stats_pb2
from envoy.extensions.filters.http.grpc_web.v3 import grpc_web_pb2
from envoy.extensions.filters.http.router.v3 import router_pb2
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
    HttpFilter,
    Rds,
    RequestIDExtension,
)
from envoy.extensions.request_id.uuid.v3 import uuid_pb2
from envoy.type.metadata.v3 import metadata_pb2
from envoy.type.tracing.v3 import custom_tag_pb2
from google.protobuf.message import Message

from lab.controlplane.kinds.protocol import Protocol
from lab.controlplane.proxy import UNKNOWN, Proxy
from lab.controlplane.snapshot.packing import pack, seconds

_SAMPLED: Final = 1.0
"""Per cent of requests traced that did not come with a decision; Istio's default."""

_SERVER: Final = "istio-envoy"

_DRY_RUN_TAGS: Final = (
    ("allow_policy.name", "istio_dry_run_allow_shadow_effective_policy_id"),
    ("allow_policy.result", "istio_dry_run_allow_shadow_engine_result"),
    ("deny_policy.name", "istio_dry_run_deny_shadow_effective_policy_id"),
    ("deny_policy.result", "istio_dry_run_deny_shadow_engine_result"),
)
_RBAC: Final = "envoy.filters.http.rbac"


def outbound_http(
    proxy: Proxy, *, stat_prefix: str, route_name: str, protocol: Protocol, absolute_urls: bool = False
) -> Filter:
    """``absolute_urls``: for clients that take this for a proxy and write whole URLs."""
    manager = _manager(proxy, stat_prefix, protocol)
    manager.rds.CopyFrom(_rds(route_name))
    if absolute_urls:
        manager.http_protocol_options.allow_absolute_url.value = True
    return _filter(manager)


def gateway_http(proxy: Proxy, *, stat_prefix: str, route_name: str, protocol: Protocol) -> Filter:
    """The edge of the mesh: what a client says about itself is replaced by what is known of it."""
    manager = _manager(proxy, stat_prefix, protocol)
    manager.rds.CopyFrom(_rds(route_name))
    manager.server_name = _SERVER
    manager.use_remote_address.value = True
    manager.http_protocol_options.SetInParent()
    manager.forward_client_cert_details = HttpConnectionManager.SANITIZE_SET
    manager.set_current_client_cert_details.CopyFrom(
        HttpConnectionManager.SetCurrentClientCertDetails(
            subject={"value": True}, cert=True, dns=True, uri=True
        )
    )
    return _filter(manager)


def inbound_http(proxy: Proxy, *, stat_prefix: str, routes: RouteConfiguration, protocol: Protocol) -> Filter:
    """Tells the application who called: x-forwarded-client-cert carries the peer's SPIFFE name."""
    manager = _manager(proxy, stat_prefix, protocol)
    manager.route_config.CopyFrom(routes)
    manager.server_name = _SERVER
    manager.forward_client_cert_details = HttpConnectionManager.APPEND_FORWARD
    manager.set_current_client_cert_details.CopyFrom(
        HttpConnectionManager.SetCurrentClientCertDetails(subject={"value": True}, dns=True, uri=True)
    )
    return _filter(manager)


def _rds(route_name: str) -> Rds:
    return Rds(
        route_config_name=route_name,
        config_source=config_source_pb2.ConfigSource(
            ads=config_source_pb2.AggregatedConfigSource(),
            initial_fetch_timeout=seconds(0),
            resource_api_version=config_source_pb2.V3,
        ),
    )


def _filter(manager: HttpConnectionManager) -> Filter:
    return Filter(name="envoy.filters.network.http_connection_manager", typed_config=pack(manager))


def _manager(proxy: Proxy, stat_prefix: str, protocol: Protocol) -> HttpConnectionManager:
    request_id = uuid_pb2.UuidRequestIdConfig(use_request_id_for_trace_sampling={"value": True})
    return HttpConnectionManager(
        stat_prefix=stat_prefix,
        http_filters=_http_filters(protocol),
        tracing=HttpConnectionManager.Tracing(
            client_sampling={"value": 100.0},
            random_sampling={"value": _SAMPLED},
            overall_sampling={"value": 100.0},
            custom_tags=_tags(proxy),
        ),
        use_remote_address={"value": False},
        proxy_100_continue=True,
        upgrade_configs=[HttpConnectionManager.UpgradeConfig(upgrade_type="websocket")],
        stream_idle_timeout=seconds(0),
        normalize_path={"value": True},
        request_id_extension=RequestIDExtension(typed_config=pack(request_id)),
        path_with_escaped_slashes_action=HttpConnectionManager.KEEP_UNCHANGED,
    )


def _http_filters(protocol: Protocol) -> list[HttpFilter]:
    web: tuple[tuple[str, Message], ...] = (("grpc_web", grpc_web_pb2.GrpcWeb()),)
    filters: tuple[tuple[str, Message], ...] = (
        *(web if protocol is Protocol.GRPC_WEB else ()),
        (
            "grpc_stats",
            grpc_stats_pb2.FilterConfig(emit_filter_state=True, stats_for_all_methods={"value": False}),
        ),
        ("fault", fault_pb2.HTTPFault()),
        ("cors", cors_pb2.Cors()),
        ("router", router_pb2.Router()),
    )
    return [
        HttpFilter(name=f"envoy.filters.http.{name}", typed_config=pack(config)) for name, config in filters
    ]


def _tags(proxy: Proxy) -> Iterator[custom_tag_pb2.CustomTag]:
    for name, key in _DRY_RUN_TAGS:
        yield custom_tag_pb2.CustomTag(
            tag=f"istio.authorization.dry_run.{name}",
            metadata={
                "kind": metadata_pb2.MetadataKind(request=metadata_pb2.MetadataKind.Request()),
                "metadata_key": metadata_pb2.MetadataKey(key=_RBAC, path=[{"key": key}]),
            },
        )
    said = {
        "canonical_revision": proxy.canonical_revision,
        "canonical_service": proxy.canonical_name,
        "cluster_id": proxy.cluster_id or UNKNOWN,
        "mesh_id": proxy.mesh_id or UNKNOWN,
        "namespace": proxy.namespace,
    }
    for name, value in said.items():
        yield custom_tag_pb2.CustomTag(tag=f"istio.{name}", literal={"value": value})
