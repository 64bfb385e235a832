"""The types the agent keeps for itself: today the name table."""

from collections.abc import Iterator

from google.protobuf.message import DecodeError

from vmagent._pb import wire_pb2 as wire
from vmagent.runtime.latest import Latest
from vmagent.xds.messages import Update, Verdict
from vmagent.xds.names import NameEntry, NameTable, Packed


class NameTableIntercept:
    """Publishes each name table; one that cannot be read is rejected, and the old one stays."""

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
            self.tables.publish(_Table(next(iter(update.resources.values()), b"")))
        except DecodeError as why:
            return Verdict(update.type_url, update.nonce, f"name table: {why}")
        return Verdict(update.type_url, update.nonce)


class _Table(Packed):
    """Kept as it came: ten thousand names taken apart are five times as large. Every look takes all of it
    apart anew, so ``in_order`` is the way to look at many. Raises DecodeError when it is made.
    """

    __slots__ = ("_data", "_length")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._length = len(wire.NameTable.FromString(data).table)

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[str]:
        return iter(wire.NameTable.FromString(self._data).table)

    def __getitem__(self, host: str) -> NameEntry:
        return dict(self.in_order())[host]

    def in_order(self) -> Iterator[tuple[str, NameEntry]]:
        table = wire.NameTable.FromString(self._data).table
        for host in sorted(table):
            info = table[host]
            yield (
                host,
                NameEntry(
                    ips=tuple(info.ips),
                    registry=info.registry,
                    shortname=info.shortname,
                    namespace=info.namespace,
                    alt_hosts=tuple(info.alt_hosts),
                ),
            )
