"""One rule, and the words every part of this room shares. Imports nothing, so that the long-lived process
stays small.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

Family = Literal["ipv4", "ipv6"]
FAMILIES: Final[tuple[Family, ...]] = ("ipv4", "ipv6")

TAG: Final = "istio-agent:"
"""Every rule's comment begins so. It names the owner: what carries it may be deleted, nothing else."""

TABLES: Final = ("raw", "mangle", "nat")
"""Order of writing: conntrack zones stand before the first query is redirected. Removal goes the other way.
"""

BUILTIN: Final = frozenset(("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"))
_VERDICTS: Final = frozenset(("ACCEPT", "DROP", "RETURN", "REDIRECT", "CT"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    table: str
    chain: str
    name: str
    match: str = ""
    jump: str

    @property
    def spec(self) -> str:
        """What follows ``-A CHAIN``."""
        match = f"{self.match} " if self.match else ""
        return f'{match}-m comment --comment "{TAG}{self.name}" -j {self.jump}'


def chains(rules: Sequence[Rule], table: str) -> tuple[str, ...]:
    """Our chains of one table, as Istio orders them: first those with rules, then those that are only
    jumped to.
    """
    mine = [rule for rule in rules if rule.table == table]
    targets = [rule.jump.split()[0] for rule in mine]
    named = [rule.chain for rule in mine] + [target for target in targets if target not in _VERDICTS]
    return tuple(dict.fromkeys(name for name in named if name not in BUILTIN))


def tagged(spec: str) -> bool:
    """Whether a rule, as iptables-save prints it, is ours. Old versions print the comment without quotes."""
    return f'--comment "{TAG}' in spec or f"--comment {TAG}" in spec
