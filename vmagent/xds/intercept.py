"""The types the agent keeps for itself: today the name table."""

from google.protobuf.message import DecodeError

from vmagent._pb import wire_pb2 as wire
from vmagent.runtime.latest import Latest
from vmagent.xds.messages import Update, Verdict
from vmagent.xds.names import NameEntry, NameTable


class NameTableIntercept:
    """Decodes each name table and publishes it; a table that cannot be read is rejected and the old one
    stays.
    """

    def __init__(self) -> None:
        self.tables: Latest[NameTable] = Latest()

    def take(self, update: Update) -> Verdict:
        """An update without a resource is an empty table: the mesh has no name left. Incrementally, one that
        neither brings nor removes the table changes nothing.
        """
        unchanged = update.delta and not update.resources and not update.removed
        if unchanged and self.tables.value is not None:
            return Verdict(update.type_url, update.nonce)
        try:
            self.tables.publish(decode(next(iter(update.resources.values()), b"")))
        except DecodeError as why:
            return Verdict(update.type_url, update.nonce, f"name table: {why}")
        return Verdict(update.type_url, update.nonce)


def decode(data: bytes) -> NameTable:
    """Raises DecodeError."""
    return {
        host: NameEntry(
            ips=tuple(info.ips),
            registry=info.registry,
            shortname=info.shortname,
            namespace=info.namespace,
            alt_hosts=tuple(info.alt_hosts),
        )
        for host, info in wire.NameTable.FromString(data).table.items()
    }
