"""The name table: what the agent's resolver answers, host by host.

Does not:  depend on DNS_CAPTURE itself; istiod sends the table to everybody, only the addresses in it differ.
Surprise:  a router gets an empty one: nothing beside it asks.
"""

from lab.controlplane._pb import nds_pb2
from lab.controlplane.kinds.service_entry import Resolution
from lab.controlplane.services import Service
from lab.controlplane.snapshot.view import Seen, View
from lab.controlplane.workloads import Instance


def name_table(view: View) -> nds_pb2.NameTable:
    table = nds_pb2.NameTable()
    if view.router:
        return table
    for seen in view.services:
        ips = list(seen.single_addresses)
        if not seen.addresses and seen.service.resolution is Resolution.NONE:
            ips = _headless(table, seen)
        if not ips:
            continue
        info = table.table[seen.host]
        info.ips.extend(ips)
        info.registry = seen.service.registry
        if seen.service.kubernetes:
            info.namespace = seen.service.namespace
            info.shortname = seen.service.name
    return table


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
