"""``/debug/syncz``: who is connected, and what each accepted and refused."""

from collections.abc import Iterable
from typing import Any

from lab.controlplane.ads import Connection
from lab.controlplane.subscription import Watch
from lab.controlplane.timestamps import rfc3339_nano


def syncz(connections: Iterable[Connection]) -> list[dict[str, Any]]:
    return [_connection(each) for each in connections]


def _connection(connection: Connection) -> dict[str, Any]:
    proxy = connection.proxy
    return {
        "connection": connection.id,
        "variant": connection.variant.name,
        "proxy": proxy.name,
        "cluster": proxy.cluster_id,
        "addresses": list(proxy.ips),
        "identity": str(connection.caller.identity),
        "authenticatedBy": connection.caller.by,
        "peer": connection.caller.address,
        "connectedAt": rfc3339_nano(connection.since),
        "workloadEntry": "/".join(connection.entry[1:]) if connection.entry else "",
        "types": {url: _watch(watch) for url, watch in connection.session.watches.items()},
    }


def _watch(watch: Watch) -> dict[str, Any]:
    return {
        "names": list(watch.names),
        "unanswered": list(watch.offers.values()),
        "accepted": watch.accepted,
        "rejected": watch.rejected,
        "reason": watch.reason,
    }
