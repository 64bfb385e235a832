"""The name table: what the agent's resolver answers, host by host.

Does not:  depend on DNS_CAPTURE itself; istiod sends the table to everybody, only the addresses in it differ.
"""

from lab.controlplane._pb import nds_pb2
from lab.controlplane.kinds.service_entry import Resolution
from lab.controlplane.snapshot.view import Seen, View

_REGISTRY = "External"
"""What istiod calls names that come from ServiceEntries."""


def name_table(view: View) -> nds_pb2.NameTable:
    table = nds_pb2.NameTable()
    for seen in view.services:
        ips = _ips(seen)
        if ips:
            table.table[seen.host].ips.extend(ips)
            table.table[seen.host].registry = _REGISTRY
    return table


def _ips(seen: Seen) -> list[str]:
    """Its own addresses but no ranges; for one that is reached at its endpoints, theirs."""
    if seen.addresses or seen.service.resolution is not Resolution.NONE:
        return list(seen.single_addresses)
    return [each.address for each in seen.instances if each.serving and each.is_ip]
