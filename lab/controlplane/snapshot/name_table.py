"""The name table: what the agent's resolver answers, host by host.

Does not:  depend on DNS_CAPTURE itself; istiod sends the table to everybody, only the addresses in it differ.
Surprise:  a router gets an empty one: nothing beside it asks.
"""

from functools import partial

from lab.controlplane._pb import nds_pb2
from lab.controlplane.kinds.service_entry import Resolution
from lab.controlplane.services import Registry, Service
from lab.controlplane.snapshot.view import Seen, View
from lab.controlplane.workloads import Instance


def name_table(view: View) -> bytes:
    """A serialized NameTable: its entries, each serialized for itself, one after another in order."""
    if view.router:
        return b""
    by_host: dict[str, list[Seen]] = {}
    for seen in view.listened:
        by_host.setdefault(seen.host, []).append(seen)
    pieces: list[tuple[str, bytes]] = []
    others: list[Seen] = []
    for same in by_host.values():
        if len(same) == 1 and not _direct(same[0]):
            pieces += same[0].once("name", partial(_entries, same))
        else:
            others += same
    pieces += _entries(others)
    return b"".join(piece for _, piece in sorted(pieces))


def _entries(listened: list[Seen]) -> list[tuple[str, bytes]]:
    """By name. Hosts that share a name must come together."""
    table = nds_pb2.NameTable()
    for seen in listened:
        ips = [] if seen.everywhere or seen.is_range else [seen.address, *seen.more_addresses]
        if _direct(seen):
            ips = _headless(table, seen)
        if ips:
            _add(table, seen, ips)
    return [(name, _serialized(name, info)) for name, info in table.table.items()]


def _serialized(name: str, info: nds_pb2.NameTable.NameInfo) -> bytes:
    return nds_pb2.NameTable(table={name: info}).SerializeToString(deterministic=True)


def _direct(seen: Seen) -> bool:
    """Clients go to its endpoints."""
    return seen.everywhere and seen.service.resolution is Resolution.NONE


def _add(table: nds_pb2.NameTable, seen: Seen, ips: list[str]) -> None:
    """Addresses of several documents add up, but for those beside a Service of Kubernetes."""
    info = table.table[seen.host]
    if info.registry == Registry.KUBERNETES:
        return
    if seen.service.kubernetes:
        info.ips[:] = ips
        info.namespace = seen.service.namespace
        info.shortname = seen.service.name
    else:
        info.ips.extend(ips)
    info.registry = seen.service.registry


def _headless(table: nds_pb2.NameTable, seen: Seen) -> list[str]:
    """Reached at its endpoints: all of theirs, and each under its own name where it has one."""
    if not seen.service.ports:
        return []
    first = seen.service.ports[0]
    reached = [each for each in seen.instances if each.serving and each.is_ip and each.port(first)]
    for each in reached:
        if each.subdomain:
            _add_pod(table, seen.service, each)
    return [each.address for each in reached]


def _add_pod(table: nds_pb2.NameTable, service: Service, pod: Instance) -> None:
    short = f"{pod.hostname}.{pod.subdomain}"
    info = table.table[f"{short}.{service.host.partition('.')[2]}"]
    info.ips[:] = [pod.address]
    info.registry = service.registry
    info.namespace = service.namespace
    info.shortname = short
