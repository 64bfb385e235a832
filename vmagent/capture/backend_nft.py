"""Hosts whose iptables speaks nf_tables: iptables-restore writes, so that iptables-save shows what an
operator expects.

Surprise: this flavour makes tables and base chains on demand, and neither ``-X`` nor ``-F`` takes an
          emptied table away again (iptables 1.8.9). netlink does, in one transaction that fails if anybody
          changed anything since we looked.
"""

from collections.abc import Sequence

from vmagent.capture import command, nfnetlink
from vmagent.capture.diff import Change
from vmagent.capture.flavour import Tools
from vmagent.capture.rule import Family
from vmagent.capture.save import Live, parse


class NftBackend:
    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    def read(self, family: Family) -> Live:
        return parse(command.run([f"{self._tools.path(family)}-save"]))

    def commit(self, family: Family, changes: Sequence[Change]) -> None:
        for change in changes:
            command.run([f"{self._tools.path(family)}-restore", "--noflush"], text=change.text)

    def base_chains(self, family: Family) -> dict[str, tuple[str, ...]]:
        return nfnetlink.base_chains(family)

    def drop_empty(self, family: Family, table: str, keep: Sequence[str], *, drop_table: bool) -> None:
        nfnetlink.drop_empty(family, table, keep, drop_table=drop_table)
