"""``/debug/syncz``: who is connected, and what each was sent, accepted and refused, type by type.

The words for a type's state are those of ``istioctl proxy-status``.
"""

from collections.abc import Iterable
from typing import Any

from lab.controlplane.connection import Connection, Sent
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
        "version": proxy.istio_version,
        "cluster": proxy.cluster_id,
        "addresses": list(proxy.ips),
        "identity": str(connection.caller.identity),
        "authenticatedBy": connection.caller.by,
        "peer": connection.caller.address,
        "connectedAt": rfc3339_nano(connection.since),
        "workloadEntry": "/".join(connection.entry[1:]) if connection.entry else "",
        "types": {
            url: _watch(watch, connection.sent.get(url)) for url, watch in connection.session.watches.items()
        },
    }


def _watch(watch: Watch, sent: Sent | None) -> dict[str, Any]:
    return {
        "status": status(watch, sent),
        "names": ["*", *watch.names] if watch.everything else list(watch.names),
        "sent": None if sent is None else _sent(sent),
        "unanswered": list(watch.offers.values()),
        "accepted": watch.accepted,
        "acceptedNonce": watch.accepted_nonce,
        "rejected": watch.rejected,
        "reason": watch.reason,
    }


def status(watch: Watch, sent: Sent | None) -> str:
    """NOT SENT: there was nothing to say yet. STALE: the newest was not answered. ERROR: it was refused."""
    if sent is None:
        return "NOT SENT"
    if watch.nonce in watch.offers:
        return "STALE"
    return "ERROR" if watch.rejected else "SYNCED"


def _sent(sent: Sent) -> dict[str, Any]:
    return {
        "version": sent.version,
        "nonce": sent.nonce,
        "at": rfc3339_nano(sent.at),
        "resources": sent.resources,
        "removed": sent.removed,
        "bytes": sent.size,
    }
