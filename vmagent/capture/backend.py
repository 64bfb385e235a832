"""What a backend can do. The two that exist differ in how a change is committed, not in what packets see."""

from collections.abc import Sequence
from typing import Protocol

from vmagent.capture.backend_legacy import LegacyBackend
from vmagent.capture.backend_nft import NftBackend
from vmagent.capture.diff import Change
from vmagent.capture.flavour import Tools
from vmagent.capture.rule import Family
from vmagent.capture.save import Live


class Backend(Protocol):
    def read(self, family: Family) -> Live:
        """Tables that exist, with their rules. Creates none."""
        ...

    def commit(self, family: Family, changes: Sequence[Change]) -> None:
        """One atomic transaction per change, in order. Raises Unavailable at the first that fails."""
        ...

    def base_chains(self, family: Family) -> dict[str, tuple[str, ...]]:
        """table → base chains, as far as this flavour makes them on demand (legacy has them all, always)."""
        ...

    def drop_empty(self, family: Family, table: str, keep: Sequence[str], *, drop_table: bool) -> None:
        """Take back base chains that our first write made, and the table if it was made then, unless in
        use.
        """
        ...


def of(tools: Tools) -> Backend:
    return NftBackend(tools) if tools.flavour == "nft" else LegacyBackend(tools)
