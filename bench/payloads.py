"""What a control plane sends, made once: responses of a size, in both variants, without a nonce.

Owns:      sizes and shapes; they follow what istiod sends for as many services.
Does not:  send anything (sender.py).
"""

from collections.abc import Iterable
from functools import cache
from typing import Final

from envoy.config.cluster.v3 import cluster_pb2, filter_pb2
from envoy.config.core.v3 import base_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.route.v3 import route_components_pb2, route_pb2
from envoy.extensions.transport_sockets.tls.v3 import tls_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.message import Message
from udpa.type.v1 import typed_struct_pb2

from lab.controlplane import type_urls
from lab.controlplane._pb import nds_pb2
from lab.controlplane.snapshot.packing import pack

LARGE: Final = "30 MB"
SMALL: Final = "1 MB"
ONE: Final = "one cluster"
WITH_FILTERS: Final = "10 000 clusters with Istio's filters"
PUSHES: Final = {LARGE: 10_000, SMALL: 333, ONE: 1, WITH_FILTERS: 10_000}
"""What can be pushed, as a number of clusters."""

CLUSTER_BYTES: Final = 3000
"""Of one cluster in the pushes of 30 MB and 1 MB: TLS contexts, metadata, filters, as istiod writes them."""

SERVICES: Final = 10_000
SERVICE_CLUSTER_BYTES: Final = 700
"""10 000 services are 7.6 MB of clusters and 4.3 MB of routes in a real mesh."""
SERVICE_ROUTE_BYTES: Final = 330

ROUTE: Final = "80"


def cluster_name(number: int) -> str:
    return f"outbound|80||service-{number}.namespace-{number % 50}.svc.cluster.local"


def cluster(number: int, size: int, mark: str = "") -> cluster_pb2.Cluster:
    made = cluster_pb2.Cluster(name=cluster_name(number), alt_stat_name=mark)
    made.alt_stat_name += "x" * (size - made.ByteSize() - 3)
    return made


def with_filters(number: int) -> cluster_pb2.Cluster:
    """With what a stock Envoy cannot load, as istiod puts it there: the filter, and its protocol's name."""
    exchange = typed_struct_pb2.TypedStruct(
        type_url="type.googleapis.com/envoy.tcp.metadataexchange.config.MetadataExchange"
    )
    exchange.value["protocol"] = "istio-peer-exchange"
    context = tls_pb2.UpstreamTlsContext(sni=f"outbound_.80_._.service-{number}")
    context.common_tls_context.alpn_protocols.extend(("istio-peer-exchange", "istio"))
    made = cluster(number, SERVICE_CLUSTER_BYTES)
    made.filters.append(filter_pb2.Filter(name="istio.metadata_exchange", typed_config=pack(exchange)))
    match = made.transport_socket_matches.add(name="tlsMode-istio")
    match.match["tlsMode"] = "istio"
    match.transport_socket.CopyFrom(
        base_pb2.TransportSocket(name="envoy.transport_sockets.tls", typed_config=pack(context))
    )
    return made


@cache
def push(what: str, *, delta: bool) -> bytes:
    make = with_filters if what == WITH_FILTERS else lambda number: cluster(number, CLUSTER_BYTES)
    return _response(type_urls.CLUSTER, map(make, range(PUSHES[what])), delta=delta)


def one(mark: str) -> bytes:
    """A change of one cluster, incrementally."""
    return _response(type_urls.CLUSTER, [cluster(17, CLUSTER_BYTES, mark)], delta=True)


@cache
def services(*, delta: bool) -> dict[str, bytes]:
    """What a proxy is sent of a mesh of 10 000 services, by type."""
    numbers = range(SERVICES)
    table = nds_pb2.NameTable()
    for number in numbers:
        host = cluster_name(number).rpartition("|")[2]
        table.table[host].ips.append(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
        table.table[host].registry = "Kubernetes"
        table.table[host].shortname, table.table[host].namespace = host.split(".")[:2]
    made: dict[str, Iterable[Message]] = {
        type_urls.CLUSTER: (cluster(number, SERVICE_CLUSTER_BYTES) for number in numbers),
        type_urls.ENDPOINT: (_endpoints(number) for number in numbers),
        type_urls.LISTENER: (),
        type_urls.ROUTE: (_routes(),),
        type_urls.NAME_TABLE: (table,),
    }
    return {url: _response(url, resources, delta=delta) for url, resources in made.items()}


def empty(url: str, *, delta: bool) -> bytes:
    return _response(url, (), delta=delta)


def _endpoints(number: int) -> endpoint_pb2.ClusterLoadAssignment:
    made = endpoint_pb2.ClusterLoadAssignment(cluster_name=cluster_name(number))
    address = made.endpoints.add().lb_endpoints.add().endpoint.address.socket_address
    address.address, address.port_value = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 80
    return made


def _routes() -> route_pb2.RouteConfiguration:
    made = route_pb2.RouteConfiguration(name=ROUTE)
    for number in range(SERVICES):
        host = made.virtual_hosts.add(name=cluster_name(number))
        host.domains.append(host.name.rpartition("|")[2])
        action = route_components_pb2.RouteAction(cluster=host.name)
        route = host.routes.add(route=action)
        route.match.prefix = "/"
        route.name = "x" * (SERVICE_ROUTE_BYTES - host.ByteSize())
    return made


def _response(url: str, resources: Iterable[Message], *, delta: bool) -> bytes:
    if delta:
        incremental = discovery_pb2.DeltaDiscoveryResponse(type_url=url, system_version_info="v")
        for resource in resources:
            name = getattr(resource, "name", "") or getattr(resource, "cluster_name", "")
            entry = incremental.resources.add(name=name)
            entry.resource.Pack(resource)
        return bytes(incremental.SerializeToString())
    whole = discovery_pb2.DiscoveryResponse(type_url=url, version_info="v")
    for resource in resources:
        whole.resources.add().Pack(resource)
    return bytes(whole.SerializeToString())
