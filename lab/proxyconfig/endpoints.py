"""Endpoints: where connections can go, and whether Envoy holds them to be well.

Surprise:  two dumps tell of them. ``/clusters`` knows what Envoy makes of each, outlier detection included;
           ``/config_dump?include_eds`` knows what it was told, locality included. Each has its own table.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from lab.proxyconfig.clusters import Name
from lab.proxyconfig.dump import Json, assignments, at, items, statuses, text

HEADING: Final = ("ENDPOINT", "STATUS", "OUTLIER CHECK", "CLUSTER")
TOLD_HEADING: Final = ("ENDPOINT", "STATUS", "LOCALITY", "CLUSTER")
GAP: Final = 5

Row = tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """What is empty filters nothing."""

    address: str = ""
    port: int = 0
    cluster: str = ""
    status: str = ""

    def takes(self, cluster: str, endpoint: Json, status: str) -> bool:
        socket = at(endpoint, "socket_address")
        return (
            self.cluster in ("", cluster)
            and self.address in ("", text(socket, "address"), location(endpoint))
            and (not self.port or text(socket, "port_value") == str(self.port))
            and self.status.upper() in ("", status)
        )


def rows(dump: Json, wanted: Filter) -> Iterator[Row]:
    """Heading first; in order of the address or, where only that is known, of the cluster."""
    live = statuses(dump)
    if live is None:
        yield TOLD_HEADING
        yield from _told(chosen(dump, wanted))
    else:
        yield HEADING
        yield from sorted(_live(chosen(dump, wanted)), key=_by_address)


def chosen(dump: Json, wanted: Filter) -> list[Json]:
    """Clusters (or assignments) with those of their endpoints that are wanted; none without any."""
    live = statuses(dump)
    if live is not None:
        return [each for each in (_with_hosts(cluster, wanted) for cluster in live) if each]
    found = [each for each in (_with_endpoints(one, wanted) for one in assignments(dump)) if each]
    return sorted(found, key=lambda each: Name.parse(text(each, "cluster_name")).order)


def location(address: Json) -> str:
    """``10.0.0.1:80``, the path of a unix socket, or the name of a listener inside Envoy."""
    if at(address, "pipe") is not None:
        return f"unix://{text(address, 'pipe', 'path')}"
    inner = at(address, "envoy_internal_address")
    if inner is not None:
        name, endpoint = text(inner, "server_listener_name"), text(inner, "endpoint_id")
        return f"envoy://{name}/{endpoint}" if endpoint else f"envoy://{name}"
    socket = at(address, "socket_address")
    return f"{text(socket, 'address')}:{text(socket, 'port_value')}"


def health(host: Json) -> str:
    return text(host, "health_status", "eds_health_status") or "UNKNOWN"


def _with_hosts(cluster: Json, wanted: Filter) -> Json:
    name = text(cluster, "name")
    hosts = [
        each
        for each in items(cluster, "host_statuses")
        if wanted.takes(name, at(each, "address"), health(each))
    ]
    return {**cluster, "host_statuses": hosts} if hosts else None


def _live(found: Iterable[Json]) -> Iterator[Row]:
    for cluster in found:
        for host in items(cluster, "host_statuses"):
            outlier = "FAILED" if at(host, "health_status", "failed_outlier_check") is True else "OK"
            yield location(at(host, "address")), health(host), outlier, text(cluster, "name")


def _by_address(row: Row) -> tuple[str, int, str]:
    address, _, port = row[0].rpartition(":")
    return (address, int(port), row[3]) if port.isdecimal() else (row[0], 0, row[3])


def _with_endpoints(assignment: Json, wanted: Filter) -> Json:
    name, groups = text(assignment, "cluster_name"), []
    for group in items(assignment, "endpoints"):
        kept = [
            each
            for each in items(group, "lb_endpoints")
            if wanted.takes(name, at(each, "endpoint", "address"), _told_health(each))
        ]
        if kept:
            spelling = "lb_endpoints" if "lb_endpoints" in group else "lbEndpoints"
            groups.append({**group, spelling: kept})
    return {**assignment, "endpoints": groups} if groups else None


def _told(found: Iterable[Json]) -> Iterator[Row]:
    for assignment in found:
        for group in items(assignment, "endpoints"):
            where = [text(group, "locality", each) for each in ("region", "zone", "sub_zone")]
            for each in items(group, "lb_endpoints"):
                yield (
                    location(at(each, "endpoint", "address")),
                    _told_health(each),
                    "/".join(where).rstrip("/"),
                    text(assignment, "cluster_name"),
                )


def _told_health(endpoint: Json) -> str:
    return text(endpoint, "health_status") or "UNKNOWN"
